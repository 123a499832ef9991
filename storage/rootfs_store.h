// SPDX-License-Identifier: Apache-2.0
//
// Container root file systems: an upper directory over the layers of an image. The contracts are in
// storage/storage.h. Thread-safe: one operation on a container at a time; lock order is container,
// then State::changes.
//
// The mounts are `volatile`: overlay skips every sync of the upper directory. A container does not
// outlive a reboot, so there is nothing that a sync could save. The kernel leaves a mark that
// refuses the next mount of such a directory; MountRootfs removes it, because the daemon mounts
// again only what it has unmounted itself in the same boot.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "storage/size_limits.h"
#include "storage/state.h"

namespace davit::storage {

class RootfsStore {
 public:
  explicit RootfsStore(State& state) : state_(state), limits_(state.paths().Containers()) {}

  absl::Status Create(const std::string& container_id, const std::string& image_id,
                      const RootfsSpec& spec);
  absl::StatusOr<std::string> Mount(const std::string& container_id,
                                    const std::string& selinux_label = "");
  absl::StatusOr<std::string> MakeVolume(const std::string& container_id, const std::string& name);
  absl::Status Unmount(const std::string& container_id);
  absl::Status Remove(const std::string& container_id);
  absl::StatusOr<FsUsage> Usage(const std::string& container_id);

  // OK if size limits are enforced, else why not.
  [[nodiscard]] absl::Status SizeLimitStatus() const { return limits_.status(); }

 private:
  absl::Mutex& MutexOf(const std::string& container_id);
  absl::Status Record(const std::string& container_id, const std::string& image_id,
                      const RootfsSpec& spec);
  absl::Status MakeMappedLayer(const std::string& container_id);
  absl::Status MakeDirectories(const std::string& container_id, const ImageRecord& image,
                               const LayerTable& layers, const RootfsRecord& record);
  absl::Status MountStack(const std::string& container_id, const RootfsRecord& record,
                          std::vector<std::string> lowers, const std::string& selinux_label);

  State& state_;
  SizeLimits limits_;
  std::array<absl::Mutex, 32> mutexes_;
};

// Unmounts what is on the container's root file system, also if several times; removes the mount
// point, and its directory if nobody else uses that.
absl::Status ReleaseMountPoint(const Paths& paths, const std::string& container_id);

}  // namespace davit::storage
