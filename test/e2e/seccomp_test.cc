// SPDX-License-Identifier: Apache-2.0
//
// Containers that call what their seccomp profile forbids, with each OCI runtime that is here.
#include <algorithm>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using namespace std::chrono_literals;
using Code = absl::StatusCode;

constexpr char kAnnotation[] = "davit.io/seccomp-notifier-action";
constexpr char kCriOAnnotation[] = "seccomp-notifier-action.crio.io";
// unshare(2) is refused; what it says of that goes to the log.
constexpr char kUnshare[] = "unshare -m true 2>&1; ";
constexpr char kRefused[] = "unshare: unshare(0x20000): Operation not permitted";
constexpr char kSleep[] = "exec sleep 1000000";

class Seccomp : public E2eTest, public testing::WithParamInterface<const char*> {
 protected:
  TestDaemon::Options DaemonOptions() override {
    std::string handlers;
    for (const char* name : {"crun", "runc"}) {
      handlers += std::string("    ") + name + ":\n      path: " + name +
                  "\n      allowed_annotations: [" + kAnnotation + ", " + kCriOAnnotation + "]\n";
    }
    return {.drop_in = "runtime:\n  handlers:\n" + handlers, .failpoints = {}};
  }
  void SetUp() override {
    E2eTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    const auto status = Must(client().Status({}));
    const auto& handlers = status.runtime_handlers();
    if (std::none_of(handlers.begin(), handlers.end(),
                     [](const auto& each) { return each.name() == GetParam(); })) {
      GTEST_SKIP() << GetParam() << " is not here, or cannot run here";
    }
    Pull("busybox");
  }

  Pod RunWatched(const std::string& action, const char* annotation = kAnnotation) {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = PodConfig("pod");
    (*request.mutable_config()->mutable_annotations())[annotation] = action;
    request.set_runtime_handler(GetParam());
    return {.id = Must(client().RunPodSandbox(request)).pod_sandbox_id(),
            .config = request.config()};
  }
  v1::ContainerConfig Confined(const std::string& name, const std::string& script) {
    auto config = ShellContainer(name, script);
    config.mutable_linux()->mutable_security_context()->mutable_seccomp()->set_profile_type(
        v1::SecurityProfile::RuntimeDefault);
    return config;
  }
  // What the verbose status tells of forbidden calls.
  int Counted(const std::string& id, const std::string& call) {
    v1::ContainerStatusRequest request;
    request.set_container_id(id);
    request.set_verbose(true);
    const auto info =
        nlohmann::json::parse(Must(client().ContainerStatus(request)).info().at("info"));
    return info.contains("forbiddenSystemCalls") ? info["forbiddenSystemCalls"].value(call, 0) : 0;
  }
};

TEST_P(Seccomp, ForbiddenCallsAreCountedAndLogged) {
  const Pod pod = RunWatched("log");
  const std::string id =
      Run(pod, Confined("main", std::string(kUnshare) + kUnshare + "echo done; " + kSleep));
  AwaitLog(LogPath(pod, "main"), "done");
  EXPECT_EQ(LogText(LogPath(pod, "main")), std::string(kRefused) + "\n" + kRefused + "\ndone\n");
  EXPECT_EQ(Counted(id, "unshare"), 2);
  EXPECT_TRUE(Eventually([&] {
    return daemon().Log().find("forbids: unshare (") != std::string::npos;
  })) << daemon().Log();
  // An executed process has a filter of its own.
  EXPECT_EQ(ShellIn(id, std::string(kUnshare) + "true"), std::string(kRefused) + "\n");
  EXPECT_EQ(Counted(id, "unshare"), 3);
  // Nothing else is different: many threads, many processes.
  EXPECT_EQ(ShellIn(id, "for i in 1 2 3 4 5 6 7 8; do (echo x) | cat; done | wc -l"), "8\n");
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  EXPECT_TRUE(StopContainer(id, 0).ok());
  EXPECT_EQ(Status(id).reason(), "Error");
  EXPECT_TRUE(Eventually([&] {
    return daemon().Log().find("forbids: unshare (3x)") != std::string::npos;
  })) << "what was counted last";
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(Seccomp, TheAnswersDoNotDependOnTheDaemon) {
  const Pod pod = RunWatched("log");
  const std::string id =
      Run(pod, Confined("main", std::string("while true; do ") + kUnshare + "usleep 20000; done"));
  AwaitLog(LogPath(pod, "main"), kRefused);
  daemon().Kill();
  const size_t before = LogText(LogPath(pod, "main")).size();
  EXPECT_TRUE(Eventually([&] {
    return LogText(LogPath(pod, "main")).size() > before + 10 * sizeof(kRefused);
  })) << "the container waits for the daemon";
  StartDaemon(DaemonOptions());
  const int counted = Counted(id, "unshare");
  EXPECT_GT(counted, 10);
  EXPECT_TRUE(Eventually([&] { return Counted(id, "unshare") > counted; }));
  EXPECT_EQ(ShellIn(id, std::string(kUnshare) + "true"), std::string(kRefused) + "\n");
  EXPECT_TRUE(StopContainer(id, 0).ok());
  for (const LogLine& line : Log(LogPath(pod, "main"))) {
    EXPECT_EQ(line.text, kRefused);
  }
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(Seccomp, StopsAWhileAfterTheLastForbiddenCall) {
  const Pod pod = RunWatched("stop", kCriOAnnotation);
  const std::string good = Run(pod, Confined("good", kSleep));
  const auto begin = std::chrono::steady_clock::now();
  const std::string bad =
      Run(pod, Confined("bad", std::string(kUnshare) + "sleep 1; " + kUnshare + kSleep));
  const v1::ContainerStatus status = AwaitExit(bad);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 6s);
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "seccomp killed");
  EXPECT_EQ(status.message(), "Used forbidden syscalls: unshare (2x)");
  EXPECT_EQ(Status(good).state(), v1::CONTAINER_RUNNING);
  // One that ends by itself has ended by itself.
  const std::string quick = Run(pod, Confined("quick", std::string(kUnshare) + "exit 3"));
  EXPECT_EQ(AwaitExit(quick).exit_code(), 3);
  EXPECT_EQ(Status(quick).reason(), "Error");
  EXPECT_EQ(Status(quick).message(), "");
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(Seccomp, StopsAfterARestartToo) {
  const Pod pod = RunWatched("stop");
  const std::string id = Run(pod, Confined("main", std::string(kUnshare) + kSleep));
  AwaitLog(LogPath(pod, "main"), kRefused);
  RestartDaemon(DaemonOptions());
  const v1::ContainerStatus status = AwaitExit(id);
  EXPECT_EQ(status.reason(), "seccomp killed");
  EXPECT_EQ(status.message(), "Used forbidden syscalls: unshare (1x)");
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(Seccomp, OnlyWhereItIsAskedForAndAllowed) {
  const Pod pod = RunWatched("stop", "io.kubernetes.cri-o.seccompNotifierAction");
  const std::string id = Run(pod, Confined("main", std::string(kUnshare) + kSleep));
  AwaitLog(LogPath(pod, "main"), kRefused);
  EXPECT_EQ(Counted(id, "unshare"), 0);
  EXPECT_FALSE(PathExists(daemon().run() + "/containers/" + id + "/seccomp"));
  auto typo = Confined("typo", kSleep);
  (*typo.mutable_annotations())[kAnnotation] = "Stop";
  ExpectError(client().CreateContainer(CreateRequest(pod, typo)).status(), Code::kInvalidArgument,
              "neither log nor stop");
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

INSTANTIATE_TEST_SUITE_P(Runtimes, Seccomp, testing::Values("crun", "runc"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace davit::e2e
