// SPDX-License-Identifier: Apache-2.0
//
// Images mounted read-only for containers to bind in as volumes: one mount for each image, whoever
// uses it; but for containers in user namespaces, which have mounts of their own. The contracts are
// in storage/storage.h. Thread-safe: one operation on an image at a time; lock order is image, then
// State::changes. On disk: the table image_volumes, written before the mount is made and deleted
// after it is gone; in the run directory image-volumes/<image ID>.
#pragma once

#include <array>
#include <string>

#include "absl/status/statusor.h"

#include "storage/state.h"

namespace davit::storage {

class VolumeStore {
 public:
  explicit VolumeStore(State& state) : state_(state) {}

  absl::StatusOr<std::string> Mount(const std::string& container_id, const std::string& image_id,
                                    const IdMappings& mappings);
  absl::Status Release(const std::string& container_id);

 private:
  absl::Mutex& MutexOf(const std::string& image_id);
  absl::Status AddUser(const std::string& container_id, const std::string& image_id);
  absl::Status ReleaseOne(const std::string& container_id, const std::string& image_id);

  State& state_;
  std::array<absl::Mutex, 16> mutexes_;
};

// Unmounts what is mounted there, also if several times, and removes the mount point.
absl::Status UnmountVolume(const std::string& target);

}  // namespace davit::storage
