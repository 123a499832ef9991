// SPDX-License-Identifier: Apache-2.0
//
// The only place that builds paths of images, layers and container root file systems (the tree is
// drawn in storage/storage.h). Containers' own run files are in server/paths.h.
#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"

namespace davit::storage {

class Paths {
 public:
  Paths(std::string root, std::string run) : root_(std::move(root)), run_(std::move(run)) {}

  [[nodiscard]] const std::string& root() const { return root_; }
  // The lower directory of an image without layers; always empty.
  [[nodiscard]] std::string EmptyLower() const { return root_ + "/empty"; }

  [[nodiscard]] std::string Layers() const { return root_ + "/layers"; }
  [[nodiscard]] std::string Layer(const Digest& diff_id) const;
  [[nodiscard]] std::string Diff(const Digest& diff_id) const;
  // A directory that no record names, so that Open removes it if it stays.
  [[nodiscard]] std::string NewTempLayer() const;
  // For a layer that is replaced while it is mounted (storage/strays.h).
  [[nodiscard]] std::string NewOldLayer(const Digest& diff_id) const;

  [[nodiscard]] std::string Containers() const { return root_ + "/containers"; }
  [[nodiscard]] std::string Container(const std::string& id) const;
  [[nodiscard]] std::string Upper(const std::string& id) const;
  [[nodiscard]] std::string Work(const std::string& id) const;
  [[nodiscard]] std::string ContainerVolume(const std::string& id, const std::string& name) const;
  // A layer with other owners, where mounts cannot be ID-mapped (storage/mapped_lowers.h).
  [[nodiscard]] std::string Mapped(const std::string& id) const;
  // What overlay keeps in `work` to refuse the second mount of a volatile upper directory.
  [[nodiscard]] std::string VolatileMark(const std::string& id) const;

  [[nodiscard]] std::string RunContainers() const { return run_ + "/containers"; }
  [[nodiscard]] std::string RunContainer(const std::string& id) const;
  [[nodiscard]] std::string Rootfs(const std::string& id) const;
  [[nodiscard]] std::string ImageVolumes() const { return run_ + "/image-volumes"; }
  [[nodiscard]] std::string ImageVolume(const std::string& image_id) const;
  // One container's own, whose owners are those of its user namespace.
  [[nodiscard]] std::string MappedImageVolume(const std::string& container_id,
                                              const std::string& image_id) const;
  // Copies of the databases of additional stores, while they are read.
  [[nodiscard]] std::string AdditionalScratch() const { return run_ + "/additional-store"; }
  // Mount points for kernels that cannot mount without a path.
  [[nodiscard]] std::string Scratch() const { return run_ + "/image-mounts"; }

 private:
  std::string root_;
  std::string run_;
};

// True for a name that may stand as one component of a path and cannot be mistaken for a temporary.
[[nodiscard]] bool IsContainerId(std::string_view id);

}  // namespace davit::storage
