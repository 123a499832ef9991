// SPDX-License-Identifier: Apache-2.0
#include "base/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"

namespace davit {
namespace {

// It shares nothing but memory with its parent, which never looks at this stack; and never outlives
// it.
int Sleep(void* parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (getppid() == *static_cast<pid_t*>(parent)) {
    pause();
  }
  return 0;
}

absl::Status WriteMap(const std::string& path, const std::string& map) {
  const absl::Status status = WriteExisting(path, map);
  return status.ok() ? status
                     : InvalidArgument("the kernel refuses the ID mapping \"{}\": {}", map,
                                       Message(status));
}

}  // namespace

absl::StatusOr<std::unique_ptr<NamespaceHolder>> NamespaceHolder::Make(const std::string& uid_map,
                                                                       const std::string& gid_map,
                                                                       int flags) {
  std::unique_ptr<NamespaceHolder> holder(new NamespaceHolder());
  // CLONE_VM: no copy of the daemon's page tables. No signal at its end: nobody else waits for it.
  holder->pid_ = clone(&Sleep, holder->stack_.data() + holder->stack_.size(),
                       CLONE_NEWUSER | CLONE_VM | flags, &holder->parent_);
  if (holder->pid_ < 0) {
    return errno == ENOSPC ? ResourceExhausted(
                                 "make a user namespace: user.max_user_namespaces, or the limit of "
                                 "another kind of namespace, is reached")
                           : ErrnoStatus(errno, "make a user namespace");
  }
  const std::string proc = "/proc/" + std::to_string(holder->pid_);
  RETURN_IF_ERROR(WriteMap(proc + "/uid_map", uid_map));
  RETURN_IF_ERROR(WriteMap(proc + "/gid_map", gid_map));
  return holder;
}

NamespaceHolder::~NamespaceHolder() {
  if (pid_ < 0) {
    return;
  }
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

std::string NamespaceHolder::Path(const char* kind) const {
  return fmt::format("/proc/{}/ns/{}", pid_, kind);
}

absl::StatusOr<UniqueFd> MakeUserNamespace(const std::string& uid_map, const std::string& gid_map) {
  ASSIGN_OR_RETURN(const auto holder, NamespaceHolder::Make(uid_map, gid_map));
  return Open(holder->Path("user"), O_RDONLY);
}

}  // namespace davit
