// SPDX-License-Identifier: Apache-2.0
//
// The profile of RuntimeDefault as tables. A system call is allowed, or refused with EPERM, or
// (when no table names it: calls newer than this list) answered with ENOSYS, so that a C library
// falls back to the older call as on an older kernel.
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

using Words = std::string_view;  // names parted by blanks

// Calls that act on what the process owns or may reach by ordinary permissions.
constexpr std::array kAllowed = {
    // Files and directories.
    Words(
        "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
        "faccessat faccessat2 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat "
        "fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 "
        "fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 "
        "getxattr lchown lchown32 lgetxattr link linkat listxattr llistxattr lremovexattr "
        "lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open "
        "openat openat2 readlink readlinkat removexattr rename renameat renameat2 rmdir setxattr "
        "stat stat64 statfs statfs64 statx symlink symlinkat sync syncfs truncate truncate64 "
        "umask unlink unlinkat utime utimensat utimensat_time64 utimes"),
    // Reading and writing.
    Words(
        "_llseek fadvise64 fadvise64_64 fcntl fcntl64 io_cancel io_destroy io_getevents "
        "io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl lseek pipe pipe2 pread64 "
        "preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile sendfile64 splice "
        "sync_file_range tee vmsplice write writev"),
    // Waiting for descriptors, and notification.
    Words("_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 "
          "epoll_wait epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init "
          "inotify_init1 inotify_rm_watch poll ppoll ppoll_time64 pselect6 pselect6_time64 select "
          "signalfd signalfd4"),
    // Memory.
    Words(
        "brk cachestat madvise map_shadow_stack membarrier memfd_create "
        "memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock "
        "munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages"),
    // Processes and threads.
    Words(
        "alarm arch_prctl capget capset execve execveat exit exit_group fork futex "
        "futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list "
        "get_thread_area getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups "
        "getgroups32 getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid "
        "getresuid32 getrlimit getrusage getsid gettid getuid getuid32 ioprio_get ioprio_set nice "
        "pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace "
        "rseq sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr "
        "sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
        "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp "
        "set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 "
        "setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid "
        "setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 "
        "sysinfo times ugetrlimit uname vfork wait4 waitid waitpid"),
    // Signals.
    Words("kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
          "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
          "sgetmask sigaction sigaltstack signal sigpending sigprocmask sigreturn sigsuspend "
          "ssetmask "
          "tgkill tkill"),
    // Time: reading it, and timers.
    Words("adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
          "clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep "
          "setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
          "timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
          "timerfd_settime timerfd_settime64"),
    // Sockets; socket itself is further below.
    Words("accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom "
          "recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown "
          "socketcall socketpair"),
    // System V and POSIX IPC: the pod's own namespace.
    Words(
        "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
        "mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop "
        "semtimedop_time64 shmat shmctl shmdt shmget"),
    // Confining oneself further.
    Words("getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self"),
    // What single architectures have.
    Words("arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush modify_ldt "
          "riscv_flush_icache riscv_hwprobe s390_pci_mmio_read s390_pci_mmio_write "
          "s390_runtime_instr "
          "set_tls swapcontext switch_endian sync_file_range2"),
};

// Calls that go with a capability: allowed where the process has it, else EPERM.
struct Gated {
  const char* capability;
  Words names;
};
constexpr std::array kGated = {
    Gated{
        "CAP_SYS_ADMIN",
        "bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount "
        "mount_setattr move_mount open_tree perf_event_open pivot_root quotactl quotactl_fd "
        "setdomainname sethostname setns statmount listmount swapoff swapon syslog umount umount2 "
        "unshare"},
    Gated{"CAP_BPF", "bpf"},
    Gated{"CAP_PERFMON", "perf_event_open"},
    Gated{"CAP_SYSLOG", "syslog"},
    Gated{"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    Gated{"CAP_SYS_BOOT", "reboot"},
    Gated{"CAP_SYS_CHROOT", "chroot"},
    Gated{"CAP_SYS_MODULE", "delete_module finit_module init_module"},
    Gated{"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    Gated{"CAP_SYS_PACCT", "acct"},
    Gated{"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    Gated{"CAP_SYS_RAWIO", "ioperm iopl"},
    Gated{"CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"},
    Gated{"CAP_SYS_TTY_CONFIG", "vhangup"},
};

// Never allowed: not confined by namespaces, long obsolete, or a large part of the kernel that few
// programs need.
constexpr Words kRefused =
    "_sysctl add_key afs_syscall create_module get_kernel_syms getpmsg io_uring_enter "
    "io_uring_register io_uring_setup kexec_file_load kexec_load keyctl migrate_pages move_pages "
    "nfsservctl putpmsg query_module request_key security sysfs tuxcall uselib userfaultfd ustat "
    "vm86 vm86old vserver";

// personality(2) may select plain Linux, 32-bit uname and no address randomisation, or ask.
constexpr std::array<uint64_t, 5> kPersonalities = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

// A new namespace of each kind: for clone(2), whose flags are its first argument.
constexpr std::array<uint64_t, 7> kNamespaceFlags = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                                     CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                                     CLONE_NEWNET};
#if defined(__s390__) || defined(__s390x__)
constexpr int kCloneFlagsArg = 1;
#else
constexpr int kCloneFlagsArg = 0;
#endif

// Names that the library in use cannot resolve would fail, or be lost, in the runtime.
void AddKnown(Words names, std::set<std::string>& result) {
  while (!names.empty()) {
    const size_t end = std::min(names.find(' '), names.size());
    const std::string name(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
    if (seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR) {
      result.insert(name);
    }
  }
}

Json Allow(const Json& names) {
  return {{"names", names}, {"action", "SCMP_ACT_ALLOW"}};
}
Json Refuse(const Json& names) {
  return {{"names", names}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", EPERM}};
}
Json WithArg(Json rule, int index, const char* op, uint64_t value, uint64_t value_two = 0) {
  Json arg = {{"index", index}, {"value", value}, {"op", op}};
  if (std::string_view(op) == "SCMP_CMP_MASKED_EQ") {
    arg["valueTwo"] = value_two;
  }
  rule["args"] = Json::array({std::move(arg)});
  return rule;
}

// Calls judged by an argument.
void AddConditional(bool sys_admin, Json& rules) {
  for (const uint64_t personality : kPersonalities) {
    rules.push_back(WithArg(Allow({"personality"}), 0, "SCMP_CMP_EQ", personality));
  }
  // Virtual machine sockets reach the hypervisor: no namespace confines them.
  rules.push_back(WithArg(Allow({"socket"}), 0, "SCMP_CMP_NE", AF_VSOCK));
  rules.push_back(WithArg(Refuse({"socket"}), 0, "SCMP_CMP_EQ", AF_VSOCK));
  if (sys_admin) {
    rules.push_back(Allow({"clone"}));
    return;
  }
  uint64_t all = 0;
  for (const uint64_t flag : kNamespaceFlags) {
    all |= flag;
    rules.push_back(WithArg(Refuse({"clone"}), kCloneFlagsArg, "SCMP_CMP_MASKED_EQ", flag, flag));
  }
  rules.push_back(WithArg(Allow({"clone"}), kCloneFlagsArg, "SCMP_CMP_MASKED_EQ", all, 0));
}

}  // namespace

Json DefaultSeccomp(const std::set<std::string>& capabilities) {
  std::set<std::string> allowed;
  std::set<std::string> refused;
  for (const Words names : kAllowed) {
    AddKnown(names, allowed);
  }
  AddKnown(kRefused, refused);
  for (const Gated& gated : kGated) {
    AddKnown(gated.names, capabilities.count(gated.capability) != 0 ? allowed : refused);
  }
  // A call with two capabilities needs one of them.
  for (const std::string& name : allowed) {
    refused.erase(name);
  }
  // Its flags are in memory, where no filter sees them: libraries fall back to clone on ENOSYS.
  refused.erase("clone3");

  Json rules = Json::array({Allow(allowed), Refuse(refused)});
  AddConditional(capabilities.count("CAP_SYS_ADMIN") != 0, rules);
  return {{"defaultAction", "SCMP_ACT_ERRNO"},
          {"defaultErrnoRet", ENOSYS},
          {"architectures", SeccompArchitectures()},
          {"syscalls", std::move(rules)}};
}

}  // namespace davit::server::spec
