// SPDX-License-Identifier: Apache-2.0
#include "storage/paths.h"

#include "base/id.h"

namespace davit::storage {

std::string Paths::Layer(const Digest& diff_id) const {
  return Layers() + "/" + diff_id.hex();
}

std::string Paths::Diff(const Digest& diff_id) const {
  return Layer(diff_id) + "/diff";
}

std::string Paths::NewTempLayer() const {
  return Layers() + "/tmp-" + NewId().substr(0, 32);
}

std::string Paths::NewOldLayer(const Digest& diff_id) const {
  return Layers() + "/old-" + diff_id.hex() + "-" + NewId().substr(0, 16);
}

std::string Paths::Container(const std::string& id) const {
  return Containers() + "/" + id;
}

std::string Paths::Upper(const std::string& id) const {
  return Container(id) + "/upper";
}

std::string Paths::Work(const std::string& id) const {
  return Container(id) + "/work";
}

std::string Paths::ContainerVolume(const std::string& id, const std::string& name) const {
  return Container(id) + "/volumes/" + name;
}

std::string Paths::Mapped(const std::string& id) const {
  return Container(id) + "/mapped";
}

std::string Paths::VolatileMark(const std::string& id) const {
  return Work(id) + "/work/incompat/volatile";
}

std::string Paths::RunContainer(const std::string& id) const {
  return RunContainers() + "/" + id;
}

std::string Paths::Rootfs(const std::string& id) const {
  return RunContainer(id) + "/rootfs";
}

std::string Paths::ImageVolume(const std::string& image_id) const {
  return ImageVolumes() + "/" + image_id;
}

std::string Paths::MappedImageVolume(const std::string& container_id,
                                     const std::string& image_id) const {
  return RunContainer(container_id) + "/image-volumes/" + image_id;
}

bool IsContainerId(std::string_view id) {
  if (id.empty() || id.size() > 128 || id.front() == '.' || id.front() == '-') {
    return false;
  }
  for (const char c : id) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-' || c == '.';
    if (!ok) {
      return false;
    }
  }
  return true;
}

}  // namespace davit::storage
