// SPDX-License-Identifier: Apache-2.0
#include "storage/unpack/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/cleanup/cleanup.h"

#include "base/status.h"

namespace davit::storage::unpack {
namespace {

// A layer of ten million files needs about this for the names of its directories.
constexpr rlim_t kMaxMemory = rlim_t{1} << 30U;
constexpr rlim_t kMaxFiles = 64;

constexpr uint64_t kCapabilities = (uint64_t{1} << CAP_CHOWN) | (uint64_t{1} << CAP_DAC_OVERRIDE) |
                                   (uint64_t{1} << CAP_FOWNER) | (uint64_t{1} << CAP_FSETID) |
                                   (uint64_t{1} << CAP_MKNOD) | (uint64_t{1} << CAP_SETFCAP);

constexpr int kCalls[] = {
    // files below the root
    SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(close), SCMP_SYS(read), SCMP_SYS(write),
    SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fstat),
    SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(fcntl), SCMP_SYS(fchdir), SCMP_SYS(mkdirat),
    SCMP_SYS(mknodat), SCMP_SYS(symlinkat), SCMP_SYS(linkat), SCMP_SYS(unlinkat),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(fchown), SCMP_SYS(fchownat), SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat), SCMP_SYS(fsetxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fremovexattr),
    SCMP_SYS(utimensat), SCMP_SYS(umask),
    // the socket to the daemon
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom),
    // memory, time, the end
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    SCMP_SYS(mprotect), SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group)};

// A mount of nothing but the directory, seen by nobody else and gone with the process.
absl::StatusOr<UniqueFd> OwnMount(int directory_fd) {
  UniqueFd mount(open_tree(directory_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!mount.valid()) {
    return ErrnoStatus(errno, "clone the mount of the layer's directory");
  }
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  if (mount_setattr(mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return errno == ENOSYS
               ? Unimplemented("apply layers: the kernel lacks mount_setattr, Linux 5.12 is needed")
               : ErrnoStatus(errno, "take devices from the layer's mount");
  }
  return mount;
}

absl::Status EnterRoot(int mount_fd) {
  if (fchdir(mount_fd) != 0 || chroot(".") != 0) {
    return ErrnoStatus(errno, "make the layer's directory the root");
  }
  return absl::OkStatus();
}

absl::Status LimitResources() {
  const rlimit memory{kMaxMemory, kMaxMemory};
  const rlimit files{kMaxFiles, kMaxFiles};
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_AS, &memory) != 0 || setrlimit(RLIMIT_NOFILE, &files) != 0 ||
      setrlimit(RLIMIT_CORE, &none) != 0) {
    return ErrnoStatus(errno, "set resource limits");
  }
  return absl::OkStatus();
}

absl::Status DropCapabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) {
    return ErrnoStatus(errno, "read capabilities");
  }
  for (size_t i = 0; i < 2; ++i) {
    const auto keep = static_cast<uint32_t>(kCapabilities >> (32 * i));
    data[i].permitted &= keep;
    data[i].effective = data[i].permitted;
    data[i].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) != 0 ||
      prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return ErrnoStatus(errno, "drop capabilities");
  }
  return absl::OkStatus();
}

// Whatever is not in the list fails with EPERM.
absl::Status FilterCalls() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) {
    return ResourceExhausted("no memory for a seccomp filter");
  }
  const absl::Cleanup release = [filter] { seccomp_release(filter); };
  int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree, not a list
  for (const int call : kCalls) {
    if (error == 0) {
      error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    }
  }
  error = error == 0 ? seccomp_load(filter) : error;
  return error == 0 ? absl::OkStatus() : ErrnoStatus(-error, "load the seccomp filter");
}

}  // namespace

absl::StatusOr<UniqueFd> Confine(int directory_fd) {
  ASSIGN_OR_RETURN(UniqueFd mount, OwnMount(directory_fd));
  RETURN_IF_ERROR(LimitResources());
  RETURN_IF_ERROR(EnterRoot(mount.get()));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoStatus(errno, "set no_new_privs");
  }
  RETURN_IF_ERROR(DropCapabilities());
  RETURN_IF_ERROR(FilterCalls());
  return mount;
}

}  // namespace davit::storage::unpack
