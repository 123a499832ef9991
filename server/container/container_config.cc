// SPDX-License-Identifier: Apache-2.0
#include "server/container/container_config.h"

#include <limits.h>

#include <algorithm>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/sandbox/pod_config.h"

namespace davit::server {
namespace {

constexpr size_t kMaxName = 512;

bool IsControl(char c) {
  return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
}

}  // namespace

absl::Status CheckContainerConfig(const runtime::v1::ContainerConfig& config) {
  if (!config.has_metadata() || config.metadata().name().empty()) {
    return InvalidArgument("container config: metadata.name is missing");
  }
  const std::string& name = config.metadata().name();
  if (name.size() > kMaxName || std::any_of(name.begin(), name.end(), IsControl)) {
    return InvalidArgument(
        "container config: metadata.name is {}: at most {} characters, no spaces or control "
        "characters",
        Printable(name), kMaxName);
  }
  if (config.image().image().empty()) {
    return InvalidArgument("container config: image.image of container {} is missing", name);
  }
  return absl::OkStatus();
}

std::string ContainerName(const runtime::v1::ContainerMetadata& metadata,
                          const runtime::v1::PodSandboxMetadata& pod) {
  return fmt::format("{}_{}_{}_{}_{}", EscapeNamePart(metadata.name()), EscapeNamePart(pod.name()),
                     EscapeNamePart(pod.namespace_()), EscapeNamePart(pod.uid()),
                     metadata.attempt());
}

absl::StatusOr<std::string> LogPath(const std::string& log_directory, const std::string& log_path) {
  if (log_path.empty()) {
    return std::string();
  }
  const auto parts = Split(log_path, '/');
  const bool names_file = !parts.back().empty() && parts.back() != ".";
  if (log_path.front() == '/' || !names_file || log_path.size() >= PATH_MAX ||
      log_path.find('\0') != std::string::npos ||
      std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    return InvalidArgument(
        "container config: log_path {} must be a file beneath the pod's log directory {}, given "
        "relative to it and without \"..\"",
        Printable(log_path), log_directory);
  }
  return JoinPath(log_directory, log_path);
}

}  // namespace davit::server
