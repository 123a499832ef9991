// SPDX-License-Identifier: Apache-2.0
#include "image/auth/namespaced_auth.h"

#include <cerrno>
#include <cstdio>

#include "base/digest.h"
#include "base/file.h"
#include "base/id.h"
#include "base/status.h"

namespace davit::image {
namespace {

constexpr const char* kInUse = "in-use";

}  // namespace

absl::StatusOr<std::optional<AuthFile>> TakeNamespacedAuth(const std::string& directory,
                                                           const std::string& pod_namespace,
                                                           const std::string& repository) {
  // A namespace is a DNS label; anything else must not become part of a path.
  if (directory.empty() || pod_namespace.empty() ||
      pod_namespace.find_first_of(std::string_view("/\0", 2)) != std::string::npos ||
      pod_namespace.front() == '.') {
    return std::nullopt;
  }
  const std::string name = pod_namespace + "-" + Digest::Sha256Of(repository).hex();
  const std::string file = JoinPath(directory, name + ".json");
  if (!PathExists(file)) {
    return std::nullopt;
  }
  RETURN_IF_ERROR(MakeDirs(JoinPath(directory, kInUse)));
  const std::string taken = JoinPath(JoinPath(directory, kInUse), name + "-" + NewId() + ".json");
  if (std::rename(file.c_str(), taken.c_str()) != 0) {
    if (errno == ENOENT) {
      return std::nullopt;  // another pull was faster
    }
    return ErrnoStatus(errno, "take auth file " + file);
  }
  auto parsed = ReadAuthFile(taken);
  RETURN_IF_ERROR(RemoveFile(taken));
  RETURN_IF_ERROR(parsed.status());
  return *std::move(parsed);
}

absl::Status SweepNamespacedAuth(const std::string& directory) {
  return directory.empty() ? absl::OkStatus() : RemoveTree(JoinPath(directory, kInUse));
}

}  // namespace davit::image
