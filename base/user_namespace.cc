// SPDX-License-Identifier: Apache-2.0
#include "base/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "absl/cleanup/cleanup.h"

#include "base/file.h"
#include "base/status.h"

namespace davit {
namespace {

constexpr size_t kStack = size_t{16} << 10U;

// Holds the namespace until it is killed. It shares nothing but memory with its parent, which never
// looks at this stack.
int Sleep(void* /*unused*/) {
  while (true) {
    pause();
  }
}

absl::Status WriteMap(const std::string& path, const std::string& map) {
  const absl::Status status = WriteExisting(path, map);
  return status.ok() ? status
                     : InvalidArgument("the kernel refuses the ID mapping \"{}\": {}", map,
                                       Message(status));
}

}  // namespace

absl::StatusOr<UniqueFd> MakeUserNamespace(const std::string& uid_map, const std::string& gid_map) {
  alignas(16) std::array<uint8_t, kStack> stack;
  // CLONE_VM: no copy of the daemon's page tables. No signal at its end: nobody else waits for it.
  const pid_t pid = clone(&Sleep, stack.data() + stack.size(), CLONE_NEWUSER | CLONE_VM, nullptr);
  if (pid < 0) {
    return errno == ENOSPC ? ResourceExhausted(
                                 "make a user namespace: user.max_user_namespaces "
                                 "is reached")
                           : ErrnoStatus(errno, "make a user namespace");
  }
  const absl::Cleanup end = [pid] {
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
    }
  };
  const std::string proc = "/proc/" + std::to_string(pid);
  ASSIGN_OR_RETURN(UniqueFd ns, Open(proc + "/ns/user", O_RDONLY));
  RETURN_IF_ERROR(WriteMap(proc + "/uid_map", uid_map));
  RETURN_IF_ERROR(WriteMap(proc + "/gid_map", gid_map));
  return ns;
}

}  // namespace davit
