// SPDX-License-Identifier: Apache-2.0
//
// The daemon is killed and started again while containers run.

#include <signal.h>

#include <map>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

class Restart : public E2eTest {
 protected:
  void SetUp() override {
    E2eTest::SetUp();
    if (!IsSkipped()) {
      Pull("busybox");
    }
  }
  int64_t InfoNumber(const std::string& id, const char* key) {
    v1::ContainerStatusRequest request;
    request.set_container_id(id);
    request.set_verbose(true);
    const auto info = Must(client().ContainerStatus(request)).info().at("info");
    return nlohmann::json::parse(info).at(key).get<int64_t>();
  }
};

TEST_F(Restart, TwentyContainersSomeEndMeanwhile) {
  constexpr int kPods = 4;
  constexpr int kPerPod = 5;
  const std::string gate = daemon().dir() + "/gate";
  struct Expected {
    Pod pod;
    std::string name;
    std::string id;
    bool ends = false;
    int code = 0;
  };
  std::vector<Expected> all;
  std::map<std::string, std::string> ips;
  for (int p = 0; p < kPods; ++p) {
    const Pod pod = RunPod("pod" + std::to_string(p));
    ips[pod.id] = PodStatus(pod.id).network().ip();
    for (int c = 0; c < kPerPod; ++c) {
      Expected one{
          .pod = pod, .name = "c" + std::to_string(c), .id = {}, .ends = c < 2, .code = p * 10 + c};
      const std::string code = std::to_string(one.code);
      const std::string rest =
          one.ends ? "while [ ! -e /gate/open ]; do usleep 20000; done; echo late " + code +
                         "; exit " + code
                   : "while [ ! -e /gate/open ]; do usleep 20000; done; echo late " + code +
                         "; exec sleep 1000";
      auto config = ShellContainer(one.name, "echo early " + code + "; " + rest);
      auto& mount = *config.add_mounts();
      mount.set_host_path(gate);
      mount.set_container_path("/gate");
      Must(MakeDirs(gate, 0755));
      one.id = Run(pod, config);
      all.push_back(one);
    }
  }
  for (const auto& one : all) {
    AwaitLog(LogPath(one.pod, one.name), "early");
  }
  const int64_t pid = InfoNumber(all.back().id, "pid");
  daemon().Kill();
  Must(WriteFileAtomic(gate + "/open", ""));
  for (const auto& one : all) {
    AwaitLog(LogPath(one.pod, one.name), "late " + std::to_string(one.code));
  }
  StartDaemon({.drop_in = {}, .failpoints = {}});

  EXPECT_EQ(Pods().size(), static_cast<size_t>(kPods));
  EXPECT_EQ(Containers().size(), all.size());
  for (const auto& [id, ip] : ips) {
    EXPECT_EQ(PodStatus(id).network().ip(), ip);
    EXPECT_EQ(PodStatus(id).state(), v1::SANDBOX_READY);
  }
  for (const auto& one : all) {
    if (one.ends) {
      const auto status = AwaitExit(one.id);
      EXPECT_EQ(status.exit_code(), one.code);
      EXPECT_EQ(status.reason(), one.code == 0 ? "Completed" : "Error");
      EXPECT_GE(status.finished_at(), status.started_at());
    } else {
      EXPECT_EQ(Status(one.id).state(), v1::CONTAINER_RUNNING);
      EXPECT_EQ(ShellIn(one.id, "echo alive"), "alive\n");
    }
    const std::string code = std::to_string(one.code);
    EXPECT_EQ(LogText(LogPath(one.pod, one.name)), "early " + code + "\nlate " + code + "\n");
  }
  EXPECT_EQ(InfoNumber(all.back().id, "pid"), pid);
  // What was found again is as much the daemon's as what it made: exits are seen, stops work.
  EXPECT_TRUE(StopContainer(all.back().id, 0).ok());
  EXPECT_EQ(Status(all.back().id).exit_code(), 137);
}

TEST_F(Restart, StoppedPodsAndCreatedContainersStayWhatTheyAre) {
  const Pod stopped = RunPod("stopped");
  const std::string ended = Run(stopped, ShellContainer("ended", "exit 4"));
  const auto before = AwaitExit(ended);
  StopPod(stopped.id);
  const Pod ready = RunPod("ready");
  const std::string created = Create(ready, ShellContainer("created", "echo started later"));
  RestartDaemon();
  EXPECT_EQ(PodStatus(stopped.id).state(), v1::SANDBOX_NOTREADY);
  const auto after = Status(ended);
  EXPECT_EQ(after.state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(after.exit_code(), 4);
  EXPECT_EQ(after.finished_at(), before.finished_at());
  EXPECT_EQ(after.ShortDebugString(), before.ShortDebugString());
  EXPECT_EQ(Status(created).state(), v1::CONTAINER_CREATED);
  Must(StartContainer(created));
  EXPECT_EQ(AwaitExit(created).exit_code(), 0);
  EXPECT_EQ(LogText(LogPath(ready, "created")), "started later\n");
  EXPECT_EQ(RunPod("ready").id, ready.id) << "names are known again";
}

TEST_F(Restart, TermLeavesContainersRunning) {
  const Pod pod = RunPod("pod");
  const std::string id = Run(pod, ShellContainer("sleeper", "exec sleep 1000"));
  const int64_t pid = InfoNumber(id, "pid");
  EXPECT_EQ(daemon().Stop(), 0);
  EXPECT_EQ(kill(static_cast<pid_t>(pid), 0), 0) << "the container outlives the daemon";
  StartDaemon({.drop_in = {}, .failpoints = {}});
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  EXPECT_EQ(ShellIn(id, "echo here"), "here\n");
}

TEST_F(Restart, OutOfMemoryWhileTheDaemonIsAway) {
  const Pod pod = RunPod("pod");
  const std::string gate = daemon().dir() + "/gate";
  Must(MakeDirs(gate, 0755));
  auto config =
      ShellContainer("hungry", "while [ ! -e /gate/open ]; do usleep 20000; done; tail /dev/zero");
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(16 << 20);
  config.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(16 << 20);
  auto& mount = *config.add_mounts();
  mount.set_host_path(gate);
  mount.set_container_path("/gate");
  const std::string id = Run(pod, config);
  const int64_t pid = InfoNumber(id, "pid");
  daemon().Kill();
  Must(WriteFileAtomic(gate + "/open", ""));
  EXPECT_TRUE(Eventually([&] { return kill(static_cast<pid_t>(pid), 0) != 0; }));
  StartDaemon({.drop_in = {}, .failpoints = {}});
  EXPECT_EQ(AwaitExit(id).reason(), "OOMKilled");
}

TEST_F(Restart, ContainerKilledWithItsMonitorIsSaidToHaveEnded) {
  const Pod pod = RunPod("pod");
  const std::string id = Run(pod, ShellContainer("sleeper", "exec sleep 1000"));
  const auto monitor = static_cast<pid_t>(InfoNumber(id, "monitorPid"));
  const auto first = static_cast<pid_t>(InfoNumber(id, "pid"));
  daemon().Kill();
  EXPECT_EQ(kill(monitor, SIGKILL), 0);
  EXPECT_EQ(kill(first, SIGKILL), 0);
  StartDaemon({.drop_in = {}, .failpoints = {}});
  const auto status = AwaitExit(id);
  EXPECT_NE(status.exit_code(), 0);
}

TEST_F(Restart, ManyTimesInARow) {
  const Pod pod = RunPod("pod");
  const std::string id = Run(
      pod, ShellContainer("counter", "i=0; while :; do echo $i; i=$((i+1)); usleep 1000; done"));
  for (int i = 0; i < 8; ++i) {
    RestartDaemon();
    EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  }
  EXPECT_TRUE(StopContainer(id, 0).ok());
  int expected = 0;
  for (const auto& line : Log(LogPath(pod, "counter"))) {
    ASSERT_EQ(line.text, std::to_string(expected)) << "a line is lost or torn";
    ++expected;
  }
  EXPECT_GT(expected, 50);
}

// A client that gave up, and comes again: the first request is joined, not refused.
class SlowNetwork : public Restart {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = {},
            .failpoints =
                "run_pod_sandbox.after_network=sleep:1500;"
                "create_container.after_rootfs=sleep:1500"};
  }
};

TEST_F(SlowNetwork, RetryAfterTheDeadlineJoins) {
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = PodConfig("slow");
  EXPECT_EQ(client().RunPodSandbox(request, 300ms).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Pods().empty()) << "what is half made is not shown";
  const Pod pod{.id = Must(client().RunPodSandbox(request)).pod_sandbox_id(),
                .config = request.config()};
  EXPECT_EQ(Pods().size(), 1U);
  EXPECT_EQ(RunPod("slow").id, pod.id);
  const auto create = CreateRequest(pod, ShellContainer("slow", "true"));
  EXPECT_EQ(client().CreateContainer(create, 300ms).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Containers().empty());
  const std::string id = Must(client().CreateContainer(create)).container_id();
  EXPECT_EQ(Containers().size(), 1U);
  Must(StartContainer(id));
  EXPECT_EQ(AwaitExit(id).exit_code(), 0);
}

}  // namespace
}  // namespace davit::e2e
