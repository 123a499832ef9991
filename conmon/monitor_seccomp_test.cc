// SPDX-License-Identifier: Apache-2.0
//
// Calls that a seccomp filter has notified.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "conmon/monitor_fixture.h"

namespace davit {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArch = 0;
#endif

// Filters that have swapoff and swapon notified, and processes under them.
class SeccompMonitorTest : public MonitorTest {
 protected:
  struct File {
    conmon::SeccompHeader header;
    conmon::SeccompCall swapoff;
  };

  void SetUp() override {
    if (kArch == 0) {
      GTEST_SKIP() << "the number of this architecture is not known here";
    }
    File file = {};
    file.header.version = conmon::kSeccompVersion;
    file.header.calls = 1;
    file.header.other_error = EXDEV;
    file.swapoff = {
        .arch = kArch, .number = SYS_swapoff, .error = EBADSLT, .reserved = 0, .count = 0};
    Write({reinterpret_cast<const char*>(&file), sizeof(file)});
  }
  void Write(const std::string& bytes) const {
    ASSERT_TRUE(WriteFileAtomic(dir_ + "/run/seccomp", bytes).ok());
  }
  [[nodiscard]] File Counted() const {
    const auto bytes = ReadFile(dir_ + "/run/seccomp");
    EXPECT_TRUE(bytes.ok() && bytes->size() == sizeof(File));
    File file = {};
    std::memcpy(&file, bytes->data(), sizeof(file));
    return file;
  }

  // In a child: gives the descriptor of a new filter, as an OCI runtime does. 0 or an errno.
  int SendFilter() const {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapoff, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapon, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {.len = std::size(code), .filter = code};
    const UniqueFd peer(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = dir_ + "/run/sc";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (connect(peer.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
      return errno;
    }
    const UniqueFd filter(static_cast<int>(
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)));
    if (!filter.valid()) {
      return errno;
    }
    char text[] = R"({"ociVersion": "1.0.2", "fds": ["seccompFd"]})";
    iovec part = {text, sizeof(text) - 1};
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    const int fds[] = {0, filter.get()};  // what is no filter is of no interest
    std::memcpy(CMSG_DATA(header), fds, sizeof(fds));
    return sendmsg(peer.get(), &message, 0) < 0 ? errno : 0;
  }

  // A child that sends its filter and does `calls`; the exit status is their result.
  template <typename Calls>
  pid_t Filtered(Calls calls) const {
    const pid_t pid = fork();
    if (pid == 0) {
      const int error = SendFilter();
      _exit(error != 0 ? 100 + error : calls());
    }
    return pid;
  }
  static int EndOf(pid_t pid) {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  static bool Swapoff(int error) { return swapoff("/nowhere") != 0 && errno == error; }

  [[nodiscard]] int FiltersHeld() const {
    int held = 0;
    for (const auto& entry :
         fs::directory_iterator("/proc/" + std::to_string(monitor_.pid()) + "/fd")) {
      std::error_code gone;
      held +=
          fs::read_symlink(entry.path(), gone).string().find("seccomp notify") != std::string::npos;
    }
    return held;
  }
};

TEST_F(SeccompMonitorTest, ForbiddenCallsFailAndAreCounted) {
  Start("exec sleep 1000", {"--seccomp"});
  ASSERT_EQ(report_.outcome, conmon::StartOutcome::kRunning) << message_;
  EXPECT_EQ(Counted().header.last_ns, 0U);
  const pid_t first = Filtered([] {
    const bool same = Swapoff(EBADSLT) && Swapoff(EBADSLT) && Swapoff(EBADSLT);
    return same && swapon("/nowhere", 0) != 0 && errno == EXDEV ? 0 : 1;
  });
  EXPECT_EQ(EndOf(first), 0);
  EXPECT_EQ(Counted().swapoff.count, 3U);
  EXPECT_EQ(Counted().header.others, 1U);
  // Several at a time, as executed processes have filters of their own.
  std::vector<pid_t> more;
  more.reserve(20);
  for (int i = 0; i < 20; ++i) {
    more.push_back(Filtered([] { return Swapoff(EBADSLT) ? 0 : 1; }));
  }
  for (const pid_t pid : more) {
    EXPECT_EQ(EndOf(pid), 0);
  }
  EXPECT_EQ(Counted().swapoff.count, 23U);
  for (int i = 0; i < 500 && (FiltersHeld() != 0 || Counted().header.last_ns == 0); ++i) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(FiltersHeld(), 0) << "of processes that have ended";
  EXPECT_GT(Counted().header.last_ns, 0U);
  kill(container_, SIGKILL);
  AwaitEnd();
  EXPECT_FALSE(fs::exists(dir_ + "/run/sc"));
  EXPECT_EQ(Counted().swapoff.count, 23U);
}

TEST_F(SeccompMonitorTest, ALoopOfForbiddenCallsHasToWait) {
  Start("exec sleep 1000", {"--seccomp"});
  const auto begin = std::chrono::steady_clock::now();
  const pid_t looper = Filtered([] {
    for (int i = 0; i < 2500; ++i) {
      if (!Swapoff(EBADSLT)) {
        return 1;
      }
    }
    return 0;
  });
  EXPECT_EQ(EndOf(looper), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 1900ms);
  EXPECT_EQ(Counted().swapoff.count, 2500U);
}

// Nobody holds the filter any more: the calls go on to fail.
TEST_F(SeccompMonitorTest, WithoutAMonitorCallsStillFail) {
  Start("exec sleep 1000", {"--seccomp"});
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  const pid_t caller = Filtered([&pipe] {
    pipe->writer.Reset();  // the test's end ends it, too
    char byte = 0;
    return read(pipe->reader.get(), &byte, 1) == 1 && Swapoff(ENOSYS) ? 0 : 1;
  });
  for (int i = 0; i < 500 && FiltersHeld() == 0; ++i) {
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_EQ(FiltersHeld(), 1);
  kill(container_, SIGKILL);
  AwaitEnd();
  ASSERT_TRUE(WriteFd(pipe->writer.get(), "x", "a pipe").ok());
  EXPECT_EQ(EndOf(caller), 0);
}

TEST_F(SeccompMonitorTest, AFileThatIsNoneIsRefused) {
  for (const std::string& bytes : {std::string(), std::string(8, 'x'), std::string(200, 'x')}) {
    Write(bytes);
    Start("exec sleep 1000", {"--seccomp"});
    EXPECT_EQ(report_.outcome, conmon::StartOutcome::kMonitorFailed);
    EXPECT_NE(message_.find("seccomp"), std::string::npos) << message_;
    Context ctx(60s);
    EXPECT_TRUE(monitor_.Wait(ctx).ok());
  }
}

}  // namespace
}  // namespace davit
