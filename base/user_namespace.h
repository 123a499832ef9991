// SPDX-License-Identifier: Apache-2.0
//
// User namespaces that no process lives in: what mounts are ID-mapped by (base/idmapped_mount.h)
// and what pods are put into.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

// A process that does nothing but hold a new user namespace, and others that it owns, until it is
// pinned or opened. Killed with the object.
class NamespaceHolder {
 public:
  // The maps as /proc/PID/uid_map wants them: "INSIDE OUTSIDE COUNT\n" for each range. `flags` are
  // CLONE_NEW* of the other namespaces. InvalidArgument for maps that the kernel refuses,
  // ResourceExhausted where user.max_user_namespaces is reached.
  static absl::StatusOr<std::unique_ptr<NamespaceHolder>> Make(const std::string& uid_map,
                                                               const std::string& gid_map,
                                                               int flags = 0);
  ~NamespaceHolder();
  NamespaceHolder(const NamespaceHolder&) = delete;
  NamespaceHolder& operator=(const NamespaceHolder&) = delete;

  // "user", "net", "ipc", …: a path that names the namespace as long as the object lives.
  [[nodiscard]] std::string Path(const char* kind) const;

 private:
  static constexpr size_t kStack = size_t{16} << 10U;

  NamespaceHolder() = default;

  pid_t parent_ = getpid();
  pid_t pid_ = -1;
  alignas(16) std::array<uint8_t, kStack> stack_;
};

// A new user namespace, held by its descriptor. As NamespaceHolder::Make.
absl::StatusOr<UniqueFd> MakeUserNamespace(const std::string& uid_map, const std::string& gid_map);

}  // namespace davit
