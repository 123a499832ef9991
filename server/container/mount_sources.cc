// SPDX-License-Identifier: Apache-2.0
#include "server/container/mount_sources.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

constexpr mode_t kMode = 0755;

// What the path says, not where symlinks lead: what the administrator has written.
bool Names(const std::vector<std::string>& list, const std::string& path) {
  const auto tidy = [](const std::string& text) {
    return std::filesystem::path(text).lexically_normal();
  };
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& each) { return tidy(each) == tidy(path); });
}

absl::StatusOr<HostPath> OpenSource(const std::string& path,
                                    const std::vector<std::string>& to_reject) {
  absl::StatusOr<HostPath> place = OpenHostPath(path);
  if (!absl::IsNotFound(place.status())) {
    return place;
  }
  if (Names(to_reject, path)) {
    return FailedPrecondition(
        "host_path {} does not exist, and is one of runtime.mount_sources_to_reject: the node is "
        "to have it before the container is made",
        Printable(path));
  }
  return MakeHostPath(path, kMode);
}

bool IsForUs(const runtime::v1::Mount& mount) {
  const std::string& path = mount.host_path();
  return !spec::IsImageVolume(mount) && path.starts_with('/') &&
         path.find('\0') == std::string::npos;
}

}  // namespace

absl::StatusOr<MountSources> OpenMountSources(const runtime::v1::ContainerConfig& config,
                                              const std::vector<std::string>& to_reject) {
  MountSources sources;
  for (int i = 0; i < config.mounts_size(); ++i) {
    if (!IsForUs(config.mounts(i))) {
      continue;
    }
    absl::StatusOr<HostPath> place = OpenSource(config.mounts(i).host_path(), to_reject);
    if (!place.ok()) {
      return Annotate(place.status(), fmt::format("mounts[{}]", i));
    }
    sources.emplace(i, *std::move(place));
  }
  return sources;
}

}  // namespace davit::server
