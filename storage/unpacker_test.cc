// SPDX-License-Identifier: Apache-2.0
#include "storage/unpacker.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/helper_program.h"
#include "base/status.h"
#include "storage/layer_flags.h"
#include "storage/test_util.h"
#include "storage/unpack/confine.h"

namespace davit::storage {
namespace {

using ::testing::HasSubstr;

constexpr ApplyLimits kLimits{.max_bytes = uint64_t{1} << 30U, .max_files = 100'000};

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class UnpackerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!EnterTestNamespace()) {
      GTEST_SKIP() << "needs root";
    }
    ASSERT_TRUE(MakeDirs(layer()).ok());
  }
  absl::StatusOr<std::unique_ptr<Unpacker>> Start(const ApplyLimits& limits = kLimits) {
    auto program = FindHelperProgram(kUnpackProgram, "");
    RETURN_IF_ERROR(program.status());
    return Unpacker::Start(*program, layer(), limits);
  }
  absl::StatusOr<ApplyResult> Apply(const std::string& tar, size_t portion) {
    ASSIGN_OR_RETURN(const auto unpacker, Start());
    for (size_t at = 0; at < tar.size(); at += portion) {
      RETURN_IF_ERROR(unpacker->Push(Bytes(tar).subspan(at, std::min(portion, tar.size() - at))));
    }
    return unpacker->Finish();
  }
  [[nodiscard]] std::string layer() const { return dir_ / "layer"; }

  TestDir dir_;
};

TEST_F(UnpackerTest, PassesTheStreamOn) {
  // More than the ring, in portions that fit nowhere.
  std::string big(size_t{5} << 20U, '\0');
  for (size_t i = 0; i < big.size(); ++i) {
    big[i] = static_cast<char>(i * 7 + i / 4096);
  }
  const std::string tar = TarBuilder().Dir("d").File("d/big", big).File("small", "1").Finish();
  for (const size_t portion : {1000UL, 131'073UL, 4UL << 20U, 100UL << 20U}) {
    const auto result = Apply(tar, portion);
    ASSERT_TRUE(result.ok()) << Message(result.status());
    EXPECT_EQ(result->bytes, big.size() + 1);
    EXPECT_EQ(result->files, 3U);
    EXPECT_EQ(Text(layer() + "/diff/d/big"), big);
    ASSERT_TRUE(RemoveTree(layer()).ok());
    ASSERT_TRUE(MakeDirs(layer()).ok());
  }
}

TEST_F(UnpackerTest, OpaqueDirectoriesAreMadeForIt) {
  const auto result =
      Apply(TarBuilder().Dir("d").File("d/.wh..wh..opq").File("e/.wh.x").Finish(), 512);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(Xattr(layer() + "/diff/d", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(result->flags, kHasWhiteouts | kHasImplied);
  EXPECT_EQ(Text(layer() + "/implied"), std::string("e\0", 2));
}

TEST_F(UnpackerTest, ErrorsComeBack) {
  const auto hostile = Apply(TarBuilder().File("../x").Finish(), 4096);
  EXPECT_EQ(hostile.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(hostile.status()), HasSubstr("'..' in a name"));
  EXPECT_FALSE(PathExists(dir_ / "x"));
}

// Push says so as well, before the stream has ended.
TEST_F(UnpackerTest, ErrorsEndTheStream) {
  const auto unpacker = Start();
  ASSERT_TRUE(unpacker.ok()) << Message(unpacker.status());
  const std::string garbage(size_t{64} << 10U, 'g');
  absl::Status status;
  for (int i = 0; i < 10'000 && status.ok(); ++i) {
    status = (*unpacker)->Push(Bytes(garbage));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << Message(status);
  EXPECT_EQ((*unpacker)->Finish().status(), status);
}

TEST_F(UnpackerTest, AbandonedLayersEndTheProcess) {
  const auto unpacker = Start();
  ASSERT_TRUE(unpacker.ok());
  ASSERT_TRUE((*unpacker)->Push(Bytes(TarBuilder().File("a", "1").unfinished())).ok());
}  // the destructor waits for it

TEST_F(UnpackerTest, DeviceNodesByPolicy) {
  const std::string tar = TarBuilder().Add({.name = "sda", .type = '4', .major = 8}).Finish();
  ApplyLimits limits = kLimits;
  limits.allow_devices = false;
  const auto unpacker = Start(limits);
  ASSERT_TRUE(unpacker.ok());
  (void)(*unpacker)->Push(Bytes(tar));
  const auto refused = (*unpacker)->Finish();
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(refused.status()), HasSubstr("is a device node"));
}

TEST_F(UnpackerTest, ProgramThatDiesIsAnError) {
  auto unpacker = Unpacker::Start("/bin/false", layer(), kLimits);
  absl::Status status = unpacker.status();
  const std::string zeros(size_t{8} << 20U, '\0');
  if (status.ok()) {
    status = (*unpacker)->Push(Bytes(zeros));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Message(status), HasSubstr("exit code 1"));
}

// What a process that has been taken over can still do. Runs in a child; the exit code is the
// number of the line that failed.
#define WALL(condition)      \
  do {                       \
    if (!(condition)) {      \
      _exit(__LINE__ % 256); \
    }                        \
  } while (false)

bool Fails(long result, int error) {
  return result < 0 && errno == error;
}

[[noreturn]] void TryToEscape(int directory_fd, pid_t parent) {
  WALL(unpack::Confine(directory_fd).ok());
  // Files: the root is the layer's directory.
  WALL(Fails(openat(AT_FDCWD, "/etc/passwd", O_RDONLY), ENOENT));
  WALL(Fails(openat(AT_FDCWD, "/../../../../etc/passwd", O_RDONLY), ENOENT));
  WALL(openat(AT_FDCWD, "/mine", O_WRONLY | O_CREAT, 0600) >= 0);
  WALL(symlinkat("../../../../../../../../etc", AT_FDCWD, "/out") == 0);
  WALL(Fails(openat(AT_FDCWD, "/out/passwd", O_RDONLY), ENOENT));
  // Devices can be made, as layers may hold them, but not opened.
  WALL(mknodat(AT_FDCWD, "/kmsg", S_IFCHR | 0600, makedev(1, 11)) == 0);
  WALL(Fails(openat(AT_FDCWD, "/kmsg", O_RDONLY), EACCES));
  // Attributes that steer the overlay mount.
  const int dir = openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
  WALL(Fails(fsetxattr(dir, "trusted.overlay.redirect", "/", 1, 0), EPERM));
  // Everything else there is.
  WALL(Fails(socket(AF_INET, SOCK_STREAM, 0), EPERM));
  WALL(Fails(socket(AF_UNIX, SOCK_STREAM, 0), EPERM));
  WALL(Fails(kill(parent, 0), EPERM));
  WALL(Fails(chroot("/"), EPERM));
  WALL(Fails(mount("none", "/", "tmpfs", 0, nullptr), EPERM));
  WALL(Fails(unshare(CLONE_NEWUSER), EPERM));
  WALL(Fails(setns(dir, 0), EPERM));
  WALL(Fails(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM));
  WALL(Fails(syscall(SYS_execve, "/mine", nullptr, nullptr), EPERM));
  WALL(Fails(syscall(SYS_ptrace, 16, parent, 0, 0), EPERM));
  WALL(Fails(syscall(SYS_process_vm_readv, parent, nullptr, 0, nullptr, 0, 0), EPERM));
  WALL(Fails(syscall(SYS_bpf, 0, nullptr, 0), EPERM));
  WALL(Fails(syscall(SYS_io_uring_setup, 1, nullptr), EPERM));
  WALL(Fails(syscall(SYS_ioctl, dir, 0, 0), EPERM));
  WALL(Fails(setuid(1), EPERM));
  _exit(0);
}

TEST_F(UnpackerTest, ConfinedProcessReachesNothingElse) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer needs more memory and calls than a confined process has";
#endif
  const auto directory = Open(layer(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(directory.ok());
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    TryToEscape(directory->get(), parent);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the line (modulo 256) of what was not refused";
  EXPECT_TRUE(PathExists(layer() + "/mine"));
}

// As the daemon starts it: read from outside.
TEST_F(UnpackerTest, RunningProcessIsConfined) {
  const auto unpacker = Start();
  ASSERT_TRUE(unpacker.ok());
  // It has applied an entry, so it is confined; then it waits for the rest of the next one.
  const std::string tar =
      TarBuilder().File("a", "1").File("b", std::string(1U << 20U, 'b')).Finish();
  ASSERT_TRUE((*unpacker)->Push(Bytes(tar).first(1U << 18U)).ok());
  while (!PathExists(layer() + "/diff/b")) {
    sched_yield();
  }
  const std::string status = Text("/proc/" + std::to_string((*unpacker)->pid()) + "/status");
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, HasSubstr("CapEff:\t000000008800001b"));
  EXPECT_THAT(status, HasSubstr("CapPrm:\t000000008800001b"));
  EXPECT_THAT(status, HasSubstr("CapInh:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("Threads:\t1"));
}

}  // namespace
}  // namespace davit::storage
