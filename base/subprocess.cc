// SPDX-License-Identifier: Apache-2.0
#include "base/subprocess.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>

#include "base/file.h"
#include "base/poll.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr size_t kStackSize = 64U << 10U;
constexpr int kFirstSignal = 1;
constexpr int kSignals = 64;

enum class Step { kNone, kFds, kSession, kCgroup, kMounts, kCwd, kExec };

// All that the child needs, prepared by the parent: the child shares the parent's memory, and may
// only make system calls.
struct ChildPlan {
  std::vector<char*> argv;
  std::vector<char*> env;
  const char* cwd = nullptr;
  bool new_session = false;
  std::vector<const char*> cgroup_procs;
  std::vector<unsigned long> affinity;
  std::vector<FdMapping> fds;  // sources at first, private copies in the child
  int mount_namespace = -1;
  int program = -1;                   // a private copy in the child, as `fds`
  std::vector<unsigned> gaps;         // pairs: first and last descriptor of each range not listed
  int above = 3;                      // higher than every target
  std::array<bool, 3> standard = {};  // 0, 1, 2 listed
  // The child's answer.
  Step failed_step = Step::kNone;
  size_t failed_cgroup = 0;
  int error = 0;
};

// Runs in the child. No allocation, no locks, no destructors; errno is the parent's, which is
// suspended.
bool ChildSignals() {
  for (int number = kFirstSignal; number <= kSignals; ++number) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    // Fails for SIGKILL, SIGSTOP and the C library's own.
    sigaction(number, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  return sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

bool ChildFds(ChildPlan& plan) {
  for (FdMapping& fd : plan.fds) {  // out of the way of all targets first
    fd.parent_fd = fcntl(fd.parent_fd, F_DUPFD_CLOEXEC, plan.above);
    if (fd.parent_fd < 0) {
      return false;
    }
  }
  if (plan.program >= 0) {
    plan.program = fcntl(plan.program, F_DUPFD_CLOEXEC, plan.above);
    if (plan.program < 0) {
      return false;
    }
  }
  for (size_t i = 0; i + 1 < plan.gaps.size(); i += 2) {
    // Linux before 5.11 does not know the flag; every descriptor of the daemon has it anyway.
    syscall(SYS_close_range, plan.gaps[i], plan.gaps[i + 1], CLOSE_RANGE_CLOEXEC);
  }
  for (const FdMapping& fd : plan.fds) {
    if (dup2(fd.parent_fd, fd.child_fd) < 0) {
      return false;
    }
  }
  for (int number = 0; number < 3; ++number) {
    if (plan.standard[static_cast<size_t>(number)]) {
      continue;
    }
    const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
      return false;
    }
    // When it landed on the very number, dup2 would leave close-on-exec set.
    const bool ok =
        null_fd == number ? fcntl(null_fd, F_SETFD, 0) == 0 : dup2(null_fd, number) >= 0;
    if (!ok) {
      return false;
    }
  }
  return true;
}

bool ChildCgroup(ChildPlan& plan) {
  for (size_t i = 0; i < plan.cgroup_procs.size(); ++i) {
    plan.failed_cgroup = i;
    const int fd = open(plan.cgroup_procs[i], O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) {
      return false;
    }
    close(fd);
  }
  return true;
}

// CPUs that this cpuset has none of can be had later, in another one: no reason not to run.
void ChildAffinity(const ChildPlan& plan) {
  if (!plan.affinity.empty()) {
    sched_setaffinity(0, plan.affinity.size() * sizeof(unsigned long),
                      reinterpret_cast<const cpu_set_t*>(plan.affinity.data()));
  }
}

void ChildExec(const ChildPlan& plan) {
  if (plan.program >= 0) {
    execveat(plan.program, "", plan.argv.data(), plan.env.data(), AT_EMPTY_PATH);
  } else {
    execve(plan.argv[0], plan.argv.data(), plan.env.data());
  }
}

Step RunChild(ChildPlan& plan) {
  if (!ChildSignals()) {
    return Step::kExec;
  }
  if (plan.new_session && setsid() < 0) {
    return Step::kSession;
  }
  if (!ChildCgroup(plan)) {
    return Step::kCgroup;
  }
  ChildAffinity(plan);
  // Its descriptor may be in the way of another.
  if (plan.mount_namespace >= 0 && setns(plan.mount_namespace, CLONE_NEWNS) != 0) {
    return Step::kMounts;
  }
  if (!ChildFds(plan)) {
    return Step::kFds;
  }
  if (chdir(plan.cwd) != 0) {
    return Step::kCwd;
  }
  ChildExec(plan);
  return Step::kExec;
}

int ChildMain(void* argument) {
  auto& plan = *static_cast<ChildPlan*>(argument);
  plan.failed_step = RunChild(plan);
  plan.error = errno;
  // Not _exit: the sanitizers hook functions that do not return.
  syscall(SYS_exit_group, 127);
  return 127;
}

absl::Status CheckText(const std::string& text, const std::string& program) {
  if (text.find('\0') != std::string::npos) {
    return InvalidArgument("run {}: an argument, a variable or a path holds a NUL byte", program);
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const SpawnOptions& options) {
  if (options.argv.empty() || options.argv[0].empty() || options.argv[0][0] != '/') {
    return InvalidArgument("run '{}': the program's path is not absolute",
                           options.argv.empty() ? "" : options.argv[0]);
  }
  const std::string& program = options.argv[0];
  for (const std::string& text : options.argv) {
    RETURN_IF_ERROR(CheckText(text, Printable(program)));
  }
  for (const std::string& text : options.env) {
    RETURN_IF_ERROR(CheckText(text, program));
  }
  RETURN_IF_ERROR(CheckText(options.cwd, program));
  RETURN_IF_ERROR(CheckText(options.cgroup_procs, program));
  std::vector<int> targets;
  for (const FdMapping& fd : options.fds) {
    if (fd.parent_fd < 0 || fd.child_fd < 0) {
      return InvalidArgument("run {}: descriptor {} cannot be passed on as {}", program,
                             fd.parent_fd, fd.child_fd);
    }
    targets.push_back(fd.child_fd);
  }
  std::sort(targets.begin(), targets.end());
  if (std::adjacent_find(targets.begin(), targets.end()) != targets.end()) {
    return InvalidArgument("run {}: two descriptors are to become the same one", program);
  }
  return absl::OkStatus();
}

void PlanFds(const SpawnOptions& options, ChildPlan& plan) {
  plan.fds = options.fds;
  std::vector<unsigned> targets;
  for (const FdMapping& fd : plan.fds) {
    targets.push_back(static_cast<unsigned>(fd.child_fd));
    plan.above = std::max(plan.above, fd.child_fd + 1);
    if (fd.child_fd < 3) {
      plan.standard[static_cast<size_t>(fd.child_fd)] = true;
    }
  }
  std::sort(targets.begin(), targets.end());
  unsigned next = 3;
  for (const unsigned target : targets) {
    if (target > next) {
      plan.gaps.insert(plan.gaps.end(), {next, target - 1});
    }
    next = std::max(next, target + 1);
  }
  plan.gaps.insert(plan.gaps.end(), {next, UINT_MAX});
}

// `options` and `cgroup_procs` outlive the plan.
ChildPlan MakePlan(const SpawnOptions& options, const std::vector<std::string>& cgroup_procs) {
  ChildPlan plan;
  for (const std::string& text : options.argv) {
    plan.argv.push_back(const_cast<char*>(text.c_str()));
  }
  plan.argv.push_back(nullptr);
  for (const std::string& text : options.env) {
    plan.env.push_back(const_cast<char*>(text.c_str()));
  }
  plan.env.push_back(nullptr);
  plan.cwd = options.cwd.c_str();
  plan.new_session = options.new_session;
  plan.mount_namespace = options.mount_namespace;
  plan.program = options.program;
  plan.affinity = AffinityMask(options.cpus);
  for (const std::string& path : cgroup_procs) {
    plan.cgroup_procs.push_back(path.c_str());
  }
  PlanFds(options, plan);
  return plan;
}

absl::Status StepError(const SpawnOptions& options, const ChildPlan& plan) {
  const std::string what = "run " + Printable(options.argv[0]);
  switch (plan.failed_step) {
    case Step::kFds:
      return ErrnoStatus(plan.error, what + ": pass on descriptors");
    case Step::kSession:
      return ErrnoStatus(plan.error, what + ": begin a session");
    case Step::kCgroup:
      return ErrnoStatus(plan.error,
                         what + ": join cgroup " + plan.cgroup_procs[plan.failed_cgroup]);
    case Step::kMounts:
      return ErrnoStatus(plan.error, what + ": enter a mount namespace");
    case Step::kCwd:
      return ErrnoStatus(plan.error, what + ": change directory to " + options.cwd);
    default:
      return ErrnoStatus(plan.error, what);
  }
}

// The stack of a child until it executes; a guard page lies below.
class ChildStack {
 public:
  ChildStack() {
    void* const base = mmap(nullptr, kStackSize + kGuard, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (base != MAP_FAILED) {
      base_ = static_cast<char*>(base);
      mprotect(base_, kGuard, PROT_NONE);
    }
  }
  ~ChildStack() {
    if (base_ != nullptr) {
      munmap(base_, kStackSize + kGuard);
    }
  }
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;

  [[nodiscard]] bool ok() const { return base_ != nullptr; }
  [[nodiscard]] void* top() const { return base_ + kGuard + kStackSize; }

 private:
  static constexpr size_t kGuard = 4096;
  char* base_ = nullptr;
};

// Blocks every signal, also those that pthread_sigmask spares, while a child shares our memory.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    const uint64_t all = ~uint64_t{0};
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old_, sizeof all);
  }
  ~AllSignalsBlocked() { syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old_, nullptr, sizeof old_); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  uint64_t old_ = 0;
};

ExitStatus ToExitStatus(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) {
    return {.code = info.si_status, .signal = 0};
  }
  return {.code = 128 + info.si_status, .signal = info.si_status};
}

}  // namespace

absl::StatusOr<Process> Spawn(const SpawnOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  std::vector<std::string> cgroup_procs;
  for (std::string& path : Split(options.cgroup_procs, '\n')) {
    if (!path.empty()) {
      cgroup_procs.push_back(std::move(path));
    }
  }
  ChildPlan plan = MakePlan(options, cgroup_procs);
  const ChildStack stack;
  if (!stack.ok()) {
    return ErrnoStatus(errno, "run " + options.argv[0] + ": map a stack");
  }
  int pidfd = -1;
  pid_t pid = -1;
  int error = 0;
  {
    const AllSignalsBlocked blocked;
    pid = clone(ChildMain, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan,
                &pidfd);
    error = errno;
  }
  if (pid < 0) {
    return ErrnoStatus(error, "run " + options.argv[0] + ": clone");
  }
  Process process(pid, UniqueFd(pidfd));
  if (plan.failed_step != Step::kNone) {
    siginfo_t info = {};
    while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) != 0 && errno == EINTR) {
    }
    return StepError(options, plan);
  }
  return process;
}

absl::Status Process::Kill(int signal) const {
  if (syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) != 0) {
    return ErrnoStatus(errno, fmt::format("send signal {} to process {}", signal, pid_));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitStatus> Process::Wait(Context& ctx) const {
  while (true) {
    siginfo_t info = {};
    if (waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0) {
      if (errno == EINTR) {
        continue;
      }
      return ErrnoStatus(errno, fmt::format("wait for process {}", pid_));
    }
    if (info.si_pid != 0) {
      return ToExitStatus(info);
    }
    RETURN_IF_ERROR(ctx.Check());
    std::array<pollfd, 1> fds = {{{.fd = pidfd_.get(), .events = POLLIN, .revents = 0}}};
    RETURN_IF_ERROR(PollWith(ctx, fds));
  }
}

std::vector<std::string> MinimalEnv() {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
          "LANG=C.UTF-8"};
}

namespace {

bool IsProgram(const std::string& path) {
  struct stat st = {};
  return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (!IsProgram(name)) {
      return NotFound("program {}: there is no executable file of that name", Printable(name));
    }
    if (name[0] == '/') {
      return name;
    }
    std::array<char, PATH_MAX> cwd = {};
    if (getcwd(cwd.data(), cwd.size()) == nullptr) {
      return ErrnoStatus(errno, "get the working directory");
    }
    return JoinPath(cwd.data(), name);
  }
  const char* const path = getenv("PATH");
  std::vector<std::string> dirs = Split(path == nullptr ? "" : path, ':');
  dirs.insert(dirs.end(),
              {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"});
  for (const std::string& dir : dirs) {
    if (dir.empty() || dir[0] != '/' || name.empty()) {
      continue;
    }
    std::string candidate = JoinPath(dir, name);
    if (IsProgram(candidate)) {
      return candidate;
    }
  }
  return NotFound(
      "program '{}' is neither in PATH nor in the system's directories; install it or "
      "configure its path",
      Printable(name));
}

absl::StatusOr<UniqueFd> OpenPidfd(pid_t pid) {
  const auto fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) {
    return ErrnoStatus(errno, fmt::format("open process {}", pid));
  }
  return UniqueFd(fd);  // close-on-exec by itself
}

}  // namespace davit
