// SPDX-License-Identifier: Apache-2.0
#include "server/oci/infra.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <map>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/namespace.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/text.h"
#include "server/oci/test_container.h"

namespace davit::server::oci {
namespace {

using std::chrono::seconds;

std::string Link(const std::string& path) {
  std::array<char, PATH_MAX> target = {};
  const ssize_t size = readlink(path.c_str(), target.data(), target.size());
  return size < 0 ? "" : std::string(target.data(), static_cast<size_t>(size));
}

class InfraTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "namespaces need root";
    }
    char pattern[] = "/tmp/infra_test.XXXXXX";
    dir_ = mkdtemp(pattern);
    options_ = {.monitor_path = DAVIT_CONMON_PATH,
                .user_pin = "",
                .net_pin = dir_ + "/net",
                .ipc_pin = dir_ + "/ipc",
                .uts_pin = dir_ + "/uts",
                .pid_pin = dir_ + "/pid",
                .cgroup_procs = ""};
    ASSERT_EQ(PinNamespaces({.net = options_.net_pin,
                             .ipc = options_.ipc_pin,
                             .uts = options_.uts_pin,
                             .hostname = "pod",
                             .sysctls = {}}),
              absl::OkStatus());
  }
  void TearDown() override {
    if (dir_.empty()) {
      return;
    }
    EXPECT_EQ(StopInfra(ctx_, 0, 0, options_.pid_pin), absl::OkStatus());
    for (const std::string& pin : {options_.net_pin, options_.ipc_pin, options_.uts_pin}) {
      EXPECT_EQ(UnpinNamespace(pin), absl::OkStatus());
    }
    EXPECT_EQ(RemoveTree(dir_), absl::OkStatus());
  }

  std::map<std::string, std::string> StatusOf(pid_t pid) {
    std::map<std::string, std::string> fields;
    for (const std::string& line : Split(*ReadFile(fmt::format("/proc/{}/status", pid)), '\n')) {
      const std::vector<std::string> words = Words(line);
      if (words.size() > 1) {
        fields[words[0]] = Join({words.begin() + 1, words.end()}, " ");
      }
    }
    return fields;
  }

  Context ctx_{seconds(60)};
  std::string dir_;
  InfraOptions options_;
};

TEST_F(InfraTest, OwnsNothing) {
  const auto infra = StartInfra(ctx_, options_);
  ASSERT_TRUE(infra.ok()) << infra.status();
  const std::string proc = fmt::format("/proc/{}", infra->pid);
  auto status = StatusOf(infra->pid);
  EXPECT_EQ(status["Name:"], "davit-infra");
  EXPECT_EQ(Words(status["NSpid:"]).back(), "1");
  for (const char* set : {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"}) {
    EXPECT_EQ(status[set], "0000000000000000") << set;
  }
  EXPECT_EQ(status["Uid:"], "65535 65535 65535 65535");
  EXPECT_EQ(status["Gid:"], "65535 65535 65535 65535");
  EXPECT_EQ(status.count("Groups:"), 0U) << status["Groups:"];
  EXPECT_EQ(status["NoNewPrivs:"], "1");
  EXPECT_TRUE(Eventually([&] { return ListDir(proc + "/fd")->empty(); }));
  EXPECT_TRUE(ListDir(proc + "/root/")->empty());
  EXPECT_EQ(Split(Trim(*ReadFile(proc + "/mountinfo")), '\n').size(), 1U);
  EXPECT_EQ(Link(proc + "/exe"), "/memfd:davit-infra (deleted)");
  EXPECT_LT(open((proc + "/exe").c_str(), O_WRONLY | O_CLOEXEC), 0);
  EXPECT_EQ(*ReadFile(proc + "/environ"), "");
  // Not dumpable: even its own user may not look into it.
  struct stat own = {};
  ASSERT_EQ(stat((proc + "/status").c_str(), &own), 0);
  EXPECT_EQ(own.st_uid, 0U);
}

TEST_F(InfraTest, LivesInThePodsUserNamespace) {
  for (const std::string& pin : {options_.net_pin, options_.ipc_pin, options_.uts_pin}) {
    ASSERT_EQ(UnpinNamespace(pin), absl::OkStatus());
  }
  options_.user_pin = dir_ + "/user";
  for (const char* count : {"65536", "10"}) {  // with and without an ID for nobody
    const std::string map = std::string("0 200000 ") + count + "\n";
    ASSERT_EQ(PinNamespaces({.user = options_.user_pin,
                             .uid_map = map,
                             .gid_map = map,
                             .root_uid = 200000,
                             .net = options_.net_pin,
                             .ipc = options_.ipc_pin,
                             .uts = options_.uts_pin,
                             .hostname = "pod"}),
              absl::OkStatus());
    const auto infra = StartInfra(ctx_, options_);
    ASSERT_TRUE(infra.ok()) << infra.status();
    auto status = StatusOf(infra->pid);
    EXPECT_EQ(Words(status["NSpid:"]).back(), "1");
    EXPECT_EQ(Words(status["Uid:"]).front(), std::string(count) == "10" ? "200000" : "265535");
    EXPECT_EQ(status["CapEff:"], "0000000000000000");
    EXPECT_EQ(status["CapBnd:"], "0000000000000000");
    EXPECT_EQ(status["NoNewPrivs:"], "1");
    struct stat pinned = {};
    struct stat own = {};
    ASSERT_EQ(stat(options_.user_pin.c_str(), &pinned), 0);
    ASSERT_EQ(stat(fmt::format("/proc/{}/ns/user", infra->pid).c_str(), &own), 0);
    EXPECT_EQ(pinned.st_ino, own.st_ino);
    const int pin = open(options_.pid_pin.c_str(), O_RDONLY | O_CLOEXEC);
    const UniqueFd owner(ioctl(pin, NS_GET_USERNS));
    close(pin);
    ASSERT_EQ(fstat(owner.get(), &own), 0);
    EXPECT_EQ(pinned.st_ino, own.st_ino) << "the PID namespace belongs to it";
    EXPECT_TRUE(ListDir(fmt::format("/proc/{}/root/", infra->pid))->empty());
    ASSERT_EQ(StopInfra(ctx_, infra->pid, infra->start_time, options_.pid_pin), absl::OkStatus());
    for (const std::string& each :
         {options_.user_pin, options_.net_pin, options_.ipc_pin, options_.uts_pin}) {
      ASSERT_EQ(UnpinNamespace(each), absl::OkStatus());
    }
  }
}

TEST_F(InfraTest, LivesInThePodsNamespaces) {
  const auto infra = StartInfra(ctx_, options_);
  ASSERT_TRUE(infra.ok()) << infra.status();
  EXPECT_EQ(*ProcessStartTime(infra->pid), infra->start_time);
  EXPECT_TRUE(IsNamespacePin(options_.pid_pin));
  for (const auto& [kind, pin] : {std::pair<std::string, std::string>("net", options_.net_pin),
                                  {"ipc", options_.ipc_pin},
                                  {"uts", options_.uts_pin},
                                  {"pid", options_.pid_pin}}) {
    struct stat pinned = {};
    struct stat own = {};
    ASSERT_EQ(stat(pin.c_str(), &pinned), 0);
    ASSERT_EQ(stat(fmt::format("/proc/{}/ns/{}", infra->pid, kind).c_str(), &own), 0);
    EXPECT_EQ(pinned.st_ino, own.st_ino) << kind;
  }
  EXPECT_NE(Link(fmt::format("/proc/{}/ns/pid", infra->pid)), Link("/proc/self/ns/pid"));
  EXPECT_NE(Link(fmt::format("/proc/{}/ns/mnt", infra->pid)), Link("/proc/self/ns/mnt"));

  EXPECT_EQ(StopInfra(ctx_, infra->pid, infra->start_time + 1, dir_ + "/other"), absl::OkStatus());
  EXPECT_EQ(kill(infra->pid, 0), 0) << "another process under the same number is left alone";
  ASSERT_EQ(StopInfra(ctx_, infra->pid, infra->start_time, options_.pid_pin), absl::OkStatus());
  EXPECT_FALSE(PathExists(options_.pid_pin));
  EXPECT_EQ(StopInfra(ctx_, infra->pid, infra->start_time, options_.pid_pin), absl::OkStatus());
}

TEST_F(InfraTest, EndsAtSigterm) {
  const auto infra = StartInfra(ctx_, options_);
  ASSERT_TRUE(infra.ok()) << infra.status();
  ASSERT_EQ(kill(infra->pid, SIGTERM), 0);
  pollfd end = {.fd = infra->pidfd.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&end, 1, 10000), 1);
}

TEST_F(InfraTest, IsFoundByItsPin) {
  const auto infra = StartInfra(ctx_, options_);
  ASSERT_TRUE(infra.ok()) << infra.status();
  ASSERT_EQ(StopInfra(ctx_, 0, 0, options_.pid_pin), absl::OkStatus());
  pollfd end = {.fd = infra->pidfd.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&end, 1, 0), 1);
}

TEST_F(InfraTest, AFailureLeavesNothing) {
  InfraOptions options = options_;
  options.net_pin = dir_ + "/missing";
  const auto infra = StartInfra(ctx_, options);
  ASSERT_FALSE(infra.ok());
  EXPECT_NE(Message(infra.status()).find("open a namespace of the pod"), std::string::npos)
      << infra.status();
  EXPECT_FALSE(PathExists(options_.pid_pin));

  ASSERT_TRUE(WriteFileAtomic(options_.pid_pin, "taken").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(StartInfra(ctx_, options_).status()));
  ASSERT_EQ(RemoveFile(options_.pid_pin), absl::OkStatus());
  Context ended;
  ended.Cancel();
  EXPECT_FALSE(StartInfra(ended, options_).ok());
  EXPECT_FALSE(PathExists(options_.pid_pin));
}

class SharedPidTest : public InfraTest, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Runtimes, SharedPidTest, testing::Values("crun", "runc"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(SharedPidTest, AContainerOfThePodIsWatchedAndItsOrphansReaped) {
  if (const std::string why = WhyNoContainers(GetParam()); !why.empty()) {
    GTEST_SKIP() << why;
  }
  const auto infra = StartInfra(ctx_, options_);
  ASSERT_TRUE(infra.ok()) << infra.status();
  TestContainer container(GetParam());
  const auto handle = container.Start(
      ctx_,
      {.args = {"sh", "-c", "sleep 600 & (true &) ; readlink /proc/1/exe; ps -o pid,args; exit 9"},
       .pid_namespace = options_.pid_pin});
  ASSERT_TRUE(handle.ok()) << handle.status();
  EXPECT_NE(handle->container_pid, infra->pid);
  // The sleeper keeps the pipe open; the monitor does not wait for it.
  const auto exit = container.AwaitExit(ctx_, *handle);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->exit_code, 9);
  EXPECT_NE(container.Output().find("1 davit-infra"), std::string::npos) << container.Output();
  EXPECT_EQ(container.Output().find("memfd"), std::string::npos) << "it may not be looked into";
  EXPECT_TRUE(Eventually([&] { return ChildrenOf(infra->pid).size() <= 1; })) << "the sleeper only";
  ASSERT_EQ(StopInfra(ctx_, infra->pid, infra->start_time, options_.pid_pin), absl::OkStatus());
}

}  // namespace
}  // namespace davit::server::oci
