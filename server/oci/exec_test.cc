// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <sys/stat.h>

#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "base/cpus.h"
#include "base/file.h"
#include "base/json.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "server/oci/runtime.h"
#include "server/oci/runtime_error.h"
#include "server/oci/test_container.h"

namespace davit::server::oci {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ExecTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    static std::map<std::string, std::string> why;
    const auto it = why.try_emplace(GetParam(), WhyNoContainers(GetParam())).first;
    if (!it->second.empty()) {
      GTEST_SKIP() << it->second;
    }
    container_ = std::make_unique<TestContainer>(GetParam());
    auto handle = container_->Start(ctx_, {.args = {"sleep", "1000"}, .pid_namespace = {}});
    ASSERT_TRUE(handle.ok()) << handle.status();
    handle_ = *std::move(handle);
  }

  void TearDown() override {
    if (container_ != nullptr && handle_.container_pid > 0) {
      kill(handle_.container_pid, SIGKILL);
      EXPECT_TRUE(container_->AwaitExit(ctx_, handle_).ok());
    }
  }

  absl::StatusOr<ExecResult> Shell(Context& ctx, const std::string& script,
                                   size_t max_output = 16U << 20U) {
    return container_->Exec(ctx, {"sh", "-c", script}, max_output);
  }

  // Names of the processes of the container's PID namespace but its first.
  std::string Others() {
    Context ctx(seconds(10));
    const auto list = Shell(ctx, "ps -o args");
    EXPECT_TRUE(list.ok()) << list.status();
    return list.ok() ? list->out : "";
  }

  Context ctx_{seconds(60)};
  std::unique_ptr<TestContainer> container_;
  MonitorHandle handle_;
};
INSTANTIATE_TEST_SUITE_P(Runtimes, ExecTest, testing::Values("crun", "runc"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(ExecTest, CollectsOutputAndExitCode) {
  const auto result = Shell(ctx_, "echo out; echo err >&2; cat; exit 7");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 7);
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
}

TEST_P(ExecTest, ASignalIsACode) {
  EXPECT_EQ(Shell(ctx_, "kill -9 $$")->exit_code, 137);
  EXPECT_EQ(Shell(ctx_, "kill -15 $$")->exit_code, 143);
}

TEST_P(ExecTest, StderrOfTheProcessIsNoErrorOfTheRuntime) {
  const auto result = Shell(ctx_, "echo 'executable file not found in $PATH' >&2; exit 255");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 255);
}

TEST_P(ExecTest, AMissingCommandIsAnError) {
  const auto result = container_->Exec(ctx_, {"no-such-command"});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(Message(result.status())
                .find("exec: \"no-such-command\": executable file not found in $PATH"),
            std::string::npos)
      << result.status();
}

TEST_P(ExecTest, AStoppedContainerIsAFailedPrecondition) {
  ASSERT_EQ(kill(handle_.container_pid, SIGKILL), 0);
  ASSERT_TRUE(container_->AwaitExit(ctx_, handle_).ok());
  handle_.container_pid = 0;
  const auto result = Shell(ctx_, "true");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
}

TEST_P(ExecTest, OutputIsCapped) {
  const auto result = Shell(ctx_, "seq 1 300000; seq 1 300000 >&2; exit 3", 1000);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->out.size(), 1000U);
  EXPECT_EQ(result->err.size(), 1000U);
  EXPECT_EQ(result->out.substr(0, 4), "1\n2\n");
}

TEST_P(ExecTest, TheDeadlineKillsEverything) {
  Context ctx(milliseconds(700));
  const int64_t begin = NowNanos();
  const auto result = Shell(
      ctx, "sleep 501 & sh -c 'sleep 502 & setsid sleep 503; true' & trap '' TERM; sleep 504");
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  EXPECT_LT(NowNanos() - begin, 5'000'000'000);
  const std::string others = Others();
  EXPECT_EQ(others.find("sleep 50"), std::string::npos) << others;
}

TEST_P(ExecTest, CancellingKillsEverything) {
  Context ctx;
  std::thread canceller([&] {
    Eventually([&] { return PathExists(container_->rootfs() + "/begun"); });
    ctx.Cancel();
  });
  const auto result = Shell(ctx, "echo > /begun; sleep 505");
  canceller.join();
  EXPECT_TRUE(absl::IsCancelled(result.status())) << result.status();
  const std::string others = Others();
  EXPECT_EQ(others.find("sleep 505"), std::string::npos) << others;
}

TEST_P(ExecTest, AChildLeftBehindHoldsUpNothing) {
  if (container_->runtime().name() == "runc") {
    GTEST_SKIP() << "runc itself waits until nobody holds the output";
  }
  const int64_t begin = NowNanos();
  const auto result = Shell(ctx_, "sleep 506 & echo done");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, "done\n");
  EXPECT_LT(NowNanos() - begin, 3'000'000'000);
  const std::string others = Others();
  EXPECT_NE(others.find("sleep 506"), std::string::npos) << "what ended in time is left alone";
}

TEST_P(ExecTest, TheProcessGetsThreeDescriptors) {
  const auto result = Shell(ctx_, "ls /proc/self/fd");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, "0\n1\n2\n3\n") << "3 is the directory being read";
}

constexpr char kAllowedCpus[] = "grep Cpus_allowed_list /proc/self/status";

std::string AllowedCpus(const CpuSet& cpus) {
  return "Cpus_allowed_list:\t" + CpuListText(cpus) + "\n";
}

TEST_P(ExecTest, RunsOnOneCpuIfAsked) {
  const CpuSet all = GetAffinity(0).value_or(CpuSet());
  if (all.size() < 2) {
    GTEST_SKIP() << "needs two CPUs";
  }
  EXPECT_EQ(Shell(ctx_, kAllowedCpus)->out, AllowedCpus(all));
  for (const int cpu : {*all.begin(), *all.rbegin()}) {
    // A moment later: kernels before 6.2 let it begin anywhere.
    const auto result = container_->Exec(
        ctx_, {"sh", "-c", std::string("sleep 0.2; ") + kAllowedCpus}, 16U << 20U, cpu);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->out, AllowedCpus({cpu}));
  }
}

TEST_P(ExecTest, RunsThereWhateverTheRuntimeMakesOfIt) {
  const CpuSet all = GetAffinity(0).value_or(CpuSet());
  if (all.size() < 2 || !PathExists("/usr/bin/taskset")) {
    GTEST_SKIP() << "needs two CPUs and taskset";
  }
  container_->LetRuntimeRunAnywhere(all);
  const int cpu = *all.rbegin();
  const auto result = container_->Exec(
      ctx_, {"sh", "-c", std::string("sleep 0.3; ") + kAllowedCpus}, 16U << 20U, cpu);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, AllowedCpus({cpu}));
}

TEST_P(ExecTest, ACpuThatIsNotThereStopsNothing) {
  const auto result = container_->Exec(ctx_, {"echo", "up"}, 16U << 20U, kMaxCpus - 1);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, "up\n");
}

TEST_P(ExecTest, UpdateChangesTheLimit) {
  const auto status =
      container_->runtime().Update(ctx_, container_->id(), R"({"memory":{"limit":33554432}})");
  ASSERT_EQ(status, absl::OkStatus());
  const std::string dir = container_->options().memory_cgroup_dir;
  const std::string file =
      container_->options().cgroup_mode == "v2" ? "memory.max" : "memory.limit_in_bytes";
  EXPECT_EQ(*ReadFile(JoinPath(dir, file)), "33554432\n");
  EXPECT_FALSE(container_->runtime().Update(ctx_, "unknown", "{}").ok());
}

TEST_P(ExecTest, DeletingTheUnknownIsSuccess) {
  EXPECT_EQ(container_->runtime().Delete(ctx_, "unknown"), absl::OkStatus());
}

TEST_P(ExecTest, DeletingARunningContainerEndsItsMonitor) {
  ASSERT_EQ(container_->runtime().Delete(ctx_, container_->id()), absl::OkStatus());
  const auto exit = container_->AwaitExit(ctx_, handle_);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->signal, SIGKILL);
  handle_.container_pid = 0;
}

TEST(RuntimeError, ReadsTheLastErrorOfALog) {
  EXPECT_EQ(LastRuntimeError(""), "");
  EXPECT_EQ(LastRuntimeError("{\"level\":\"info\",\"msg\":\"x\"}\n"), "");
  EXPECT_EQ(LastRuntimeError("{\"level\":\"error\",\"msg\":\"a\"}\n{\"level\":\"warning\","
                             "\"msg\":\"w\"}\n{\"level\":\"error\",\"msg\":\"b \\\"q\\\"\"}\n"),
            "b \"q\"");
  EXPECT_EQ(LastRuntimeError("plain words\n"), "plain words");
}

TEST(RuntimeError, SaysWhatUsersKnow) {
  const absl::Status status = RuntimeErrorStatus(
      "start container x", "executable file `foo` not found in $PATH: No such file or directory");
  EXPECT_EQ(Message(status),
            "start container x: exec: \"foo\": executable file not found in $PATH");
  const absl::Status path = RuntimeErrorStatus(
      "start container x", "executable file `/a/b` not found in $PATH: No such file or directory");
  EXPECT_EQ(path.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(path),
            "start container x: exec: \"/a/b\": stat /a/b: no such file or directory");
  EXPECT_EQ(RuntimeErrorStatus("x", "odd \x01 bytes").code(), absl::StatusCode::kInternal);
}

// A runtime that is a script.
class RuntimeTableTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/runtime_table_test.XXXXXX";
    dir_ = mkdtemp(pattern);
    config_.storage.run = dir_;
    config_.runtime.handlers["crun"].path = Script("crun", "crun version 1.8.1", "exit 1");
    config_.runtime.handlers["runc"].path = Script("runc", "runc version 1.1.5+ds1", "exit 1");
  }
  void TearDown() override { EXPECT_EQ(RemoveTree(dir_), absl::OkStatus()); }

  std::string Script(const std::string& name, const std::string& version,
                     const std::string& features) {
    const std::string path = JoinPath(dir_, name);
    EXPECT_EQ(WriteFileAtomic(path,
                              "#!/bin/sh\ncase $1 in --version) echo '" + version +
                                  "';; features) " + features + ";; esac\n",
                              0755),
              absl::OkStatus());
    return path;
  }

  std::string dir_;
  config::Config config_;
  CgroupFs v2_ = CgroupFs::ForTest(CgroupMode::kV2, {});
};

TEST_F(RuntimeTableTest, TheDefaultIsCrun) {
  const auto table = RuntimeTable::Create(config_, v2_);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->default_name(), "crun");
  EXPECT_EQ((*table->Find(""))->version(), "1.8.1");
  EXPECT_EQ((*table->Find("runc"))->version(), "1.1.5+ds1");
  EXPECT_EQ((*table->Find("runc"))->root(), dir_ + "/runtime/runc");
  EXPECT_FALSE((*table->Find("runc"))->features().user_namespaces);
  EXPECT_EQ(table->List().size(), 2U);
  EXPECT_TRUE(table->dropped().empty());
}

TEST_F(RuntimeTableTest, WhatCannotRunIsDroppedWithAReason) {
  config_.runtime.handlers["crun"].path = dir_ + "/missing";
  config_.runtime.handlers["bad"].path = Script("bad", "", "exit 1");
  const auto table = RuntimeTable::Create(config_, v2_);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->default_name(), "runc");
  EXPECT_EQ(table->dropped().size(), 2U);
  const absl::Status dropped = table->Find("crun").status();
  EXPECT_TRUE(absl::IsNotFound(dropped));
  EXPECT_NE(Message(dropped).find(dir_ + "/missing"), std::string::npos) << dropped;
  const absl::Status unknown = table->Find("kata").status();
  EXPECT_TRUE(absl::IsNotFound(unknown));
  EXPECT_NE(Message(unknown).find("known are runc"), std::string::npos) << unknown;

  config_.runtime.default_handler = "crun";
  EXPECT_FALSE(RuntimeTable::Create(config_, v2_).ok());
}

TEST_F(RuntimeTableTest, NoRuntimeAtAllIsAnError) {
  config_.runtime.handlers["crun"].path = dir_ + "/missing";
  config_.runtime.handlers["runc"].path = dir_ + "/missing";
  EXPECT_EQ(RuntimeTable::Create(config_, v2_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RuntimeTableTest, FeaturesAreRead) {
  config_.runtime.handlers["new"].path =
      Script("new", "crun version 1.20",
             R"(echo '{"mountOptions":["ro","rro"],"linux":{"namespaces":["pid","user"],)"
             R"("mountExtensions":{"idmap":{"enabled":true}}}}')");
  config_.runtime.default_handler = "new";
  const auto table = RuntimeTable::Create(config_, v2_);
  ASSERT_TRUE(table.ok()) << table.status();
  const auto runtime = *table->Find("");
  EXPECT_EQ(runtime->program(), "crun");
  EXPECT_TRUE(runtime->features().recursive_read_only_mounts);
  EXPECT_TRUE(runtime->features().user_namespaces);
}

TEST_F(RuntimeTableTest, RuntimesWithoutFeaturesAreJudgedByTheirName) {
  config_.runtime.handlers["other"].path = Script("other", "other version 3", "exit 1");
  const auto table = RuntimeTable::Create(config_, v2_);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_TRUE((*table->Find("crun"))->features().user_namespaces);
  EXPECT_FALSE((*table->Find("other"))->features().user_namespaces);
  EXPECT_FALSE((*table->Find("runc"))->features().user_namespaces);
}

}  // namespace
}  // namespace davit::server::oci
