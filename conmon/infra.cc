// SPDX-License-Identifier: Apache-2.0
#include "conmon/infra.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "conmon/protocol.h"
#include "conmon/sys.h"

namespace davit::conmon {
namespace {

constexpr unsigned kNobody = 65535;
constexpr int kLastCapability = 63;  // the kernel refuses those that it does not have

// Steps return null for success, else what failed (errno says why).

// The host's root has no ID in a user namespace.
const char* BecomeRoot() {
  return setgroups(0, nullptr) == 0 && setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0
             ? nullptr
             : "become root of the pod's user namespace";
}

const char* JoinNamespaces(int argc, char** argv) {
  struct Kind {
    const char* option;
    int flag;
    Fd pin;
  };
  Kind kinds[] = {{"--userns", CLONE_NEWUSER, Fd()},
                  {"--netns", CLONE_NEWNET, Fd()},
                  {"--ipcns", CLONE_NEWIPC, Fd()},
                  {"--utsns", CLONE_NEWUTS, Fd()}};
  for (int i = 2; i + 1 < argc; i += 2) {
    bool known = false;
    for (Kind& kind : kinds) {
      if (Equal(argv[i], kind.option)) {
        known = true;
        kind.pin.Reset(open(argv[i + 1], O_RDONLY | O_CLOEXEC));
        if (!kind.pin.valid()) {
          return "open a namespace of the pod";
        }
      }
    }
    if (!known) {
      errno = EINVAL;
      return "read the options";
    }
  }
  // All are open: within the user namespace the pins cannot be reached.
  for (const Kind& kind : kinds) {
    if (kind.pin.valid() && setns(kind.pin.get(), kind.flag) != 0) {
      return "join a namespace of the pod";
    }
    if (kind.pin.valid() && kind.flag == CLONE_NEWUSER) {
      if (const char* failure = BecomeRoot()) {
        return failure;
      }
    }
  }
  return nullptr;
}

// A copy of this program that nobody can change.
const char* SealedSelf(Fd* copy) {
  const Fd self(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  copy->Reset(
      static_cast<int>(syscall(SYS_memfd_create, kInfraName, MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  struct stat status = {};
  if (!self.valid() || !copy->valid() || fstat(self.get(), &status) != 0) {
    return "copy the program";
  }
  for (off_t left = status.st_size; left > 0;) {
    const ssize_t count = sendfile(copy->get(), self.get(), nullptr, static_cast<size_t>(left));
    if (count <= 0) {
      return "copy the program";
    }
    left -= count;
  }
  if (fcntl(copy->get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
      0) {
    return "seal the program";
  }
  return nullptr;
}

// Leaves every file system but an empty read-only one.
const char* EnterEmptyRoot() {
  // /proc is a directory that every host has; the mount is seen by this process alone.
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            "size=4k,nr_inodes=1,mode=0555") != 0 ||
      chdir("/proc") != 0) {
    return "make an empty root";
  }
  if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0 ||
      mount(nullptr, "/", nullptr,
            MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return "enter the empty root";
  }
  return nullptr;
}

const char* DropPrivileges() {
  for (int capability = 0; capability <= kLastCapability; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) {
      return "drop a capability";
    }
  }
  struct {
    uint32_t version;
    int pid;
  } header = {0x20080522, 0};  // _LINUX_CAPABILITY_VERSION_3
  const uint32_t none[6] = {};
  // EINVAL: a small user namespace has no such ID, and its root is nobody outside.
  if (setgroups(0, nullptr) != 0 ||
      (setresgid(kNobody, kNobody, kNobody) != 0 && errno != EINVAL) ||
      (setresuid(kNobody, kNobody, kNobody) != 0 && errno != EINVAL)) {
    return "change the user";
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &header, none) != 0) {
    return "drop privileges";
  }
  return nullptr;
}

sigset_t InfraSignals() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  return wanted;
}

[[noreturn]] void BecomeInfra(int program) {
  // A blocked signal is kept even for the first process of a namespace, which no default reaches.
  const sigset_t wanted = InfraSignals();
  sigprocmask(SIG_SETMASK, &wanted, nullptr);
  const char* failure = EnterEmptyRoot();
  if (failure == nullptr) {
    failure = DropPrivileges();
  }
  if (failure == nullptr) {
    char name[sizeof(kInfraName)];
    memcpy(name, kInfraName, sizeof(kInfraName));
    char* argv[] = {name, nullptr};
    char* envp[] = {nullptr};
    syscall(SYS_execveat, program, "", argv, envp, AT_EMPTY_PATH);
    failure = "execute the program's copy";
  }
  FixedText<256> message;
  message << failure << ": " << strerror(errno);
  WriteAll(STDOUT_FILENO, message.text());
  _exit(1);
}

// Until the reader of the report has closed its side: so long the process, should it end, keeps its
// number, as nobody waits for it.
void AwaitReader() {
  pollfd reader = {STDIN_FILENO, POLLRDHUP, 0};
  poll(&reader, 1, -1);
}

}  // namespace

int InfraStartMain(int argc, char** argv) {
  CloseFrom(3);
  Fd program;
  const char* failure = SealedSelf(&program);
  WriteFile("/proc/self/oom_score_adj", "-998");  // if allowed: its end would end the whole pod
  if (failure == nullptr) {
    failure = JoinNamespaces(argc, argv);
  }
  if (failure == nullptr && unshare(CLONE_NEWPID) != 0) {
    failure = "make a PID namespace";
  }
  InfraReport report = {kProtocolVersion, -1};
  if (failure == nullptr) {
    report.pid = fork();
    if (report.pid == 0) {
      setsid();
      BecomeInfra(program.get());
    }
    failure = report.pid < 0 ? "start the process" : nullptr;
  }
  const int error = errno;
  WriteAll(STDOUT_FILENO, {reinterpret_cast<const char*>(&report), sizeof(report)});
  if (failure != nullptr) {
    FixedText<256> message;
    message << failure << ": " << strerror(error);
    WriteAll(STDOUT_FILENO, message.text());
    return 1;
  }
  close(STDOUT_FILENO);
  AwaitReader();
  return 0;
}

int InfraMain() {
  if (getpid() != 1) {
    return 2;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NAME, kInfraName, 0, 0, 0);
  CloseFrom(STDERR_FILENO);
  close(STDOUT_FILENO);  // the reader of the report takes it for ready
  // The reader pins the namespace and then says so. If it gives up, or dies, nothing may stay.
  char verdict = 0;
  if (read(STDIN_FILENO, &verdict, 1) != 1) {
    return 1;
  }
  close(STDIN_FILENO);
  const sigset_t wanted = InfraSignals();
  while (true) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    siginfo_t info = {};
    if (sigwaitinfo(&wanted, &info) == SIGTERM || info.si_signo == SIGINT) {
      return 0;
    }
  }
}

}  // namespace davit::conmon
