// SPDX-License-Identifier: Apache-2.0
#include "server/container/mount_sources.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/file.h"
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

absl::Status MakeSource(const std::string& path, const std::vector<std::string>& to_reject) {
  struct stat st {};
  // Anything but a path that ends nowhere is for the builder of the config to judge.
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos ||
      stat(path.c_str(), &st) == 0 || errno != ENOENT) {
    return absl::OkStatus();
  }
  if (Names(to_reject, path)) {
    return FailedPrecondition(
        "host_path {} does not exist, and is one of runtime.mount_sources_to_reject: the node is "
        "to have it before the container is made",
        Printable(path));
  }
  if (lstat(path.c_str(), &st) == 0) {
    return InvalidArgument("host_path {} is a symlink that leads nowhere", Printable(path));
  }
  return Annotate(MakeDirs(path, kMode), "make the missing host_path " + Printable(path));
}

}  // namespace

absl::Status MakeMountSources(const runtime::v1::ContainerConfig& config,
                              const std::vector<std::string>& to_reject) {
  for (int i = 0; i < config.mounts_size(); ++i) {
    const auto& mount = config.mounts(i);
    if (!spec::IsImageVolume(mount)) {
      RETURN_IF_ERROR(
          Annotate(MakeSource(mount.host_path(), to_reject), fmt::format("mounts[{}]", i)));
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::server
