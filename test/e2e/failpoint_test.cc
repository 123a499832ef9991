// SPDX-License-Identifier: Apache-2.0
//
// Every step of every operation fails once, and once the daemon dies at it. The steps are those
// that the sources name, so a new one is tested without a word here.

#include <filesystem>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "base/file.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> FailpointsOfTheSources() {
  const std::regex name(
      R"re("((?:run|stop|remove)_pod_sandbox|(?:create|start|stop|remove)_container|pull_image)\.([a-z_]+)")re");
  std::set<std::string> found;
  for (const char* folder : {"server", "storage", "image"}) {
    for (const auto& entry :
         fs::recursive_directory_iterator(DAVIT_SOURCE_ROOT + std::string("/") + folder)) {
      if (entry.path().extension() != ".cc" || entry.path().string().ends_with("_test.cc")) {
        continue;
      }
      const std::string text = ReadFile(entry.path()).value_or("");
      for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) {
        found.insert((*it)[1].str() + "." + (*it)[2].str());
      }
    }
  }
  return {found.begin(), found.end()};
}

// The life of one pod with one container, step by step, as a client that retries would go through
// it.
class Failpoint : public E2eTest, public testing::WithParamInterface<std::string> {
 protected:
  bool StartsDaemon() override { return false; }

  [[nodiscard]] static std::string Operation() {
    return GetParam().substr(0, GetParam().find('.'));
  }

  absl::Status DoPull() {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(registry().Image("busybox"));
    return client().PullImage(request).status();
  }
  absl::Status DoRunPod() {
    v1::RunPodSandboxRequest request;
    pod_.config = PodConfig("pod");
    // With an infra process, so that its steps are taken too.
    pod_.config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
        v1::POD);
    *request.mutable_config() = pod_.config;
    auto response = client().RunPodSandbox(request);
    if (response.ok()) {
      pod_.id = response->pod_sandbox_id();
    }
    return response.status();
  }
  absl::Status DoCreate(uint32_t attempt = 0) {
    auto config =
        ShellContainer("main", "echo up; trap 'exit 3' TERM; while :; do usleep 20000; done");
    config.mutable_metadata()->set_attempt(attempt);
    config.set_log_path("main" + std::to_string(attempt) + ".log");
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
        v1::POD);
    auto& volume = *config.add_mounts();
    volume.mutable_image()->set_image(registry().Image("busybox"));
    volume.set_container_path("/volume");
    volume.set_readonly(true);
    auto response = client().CreateContainer(CreateRequest(pod_, config));
    if (response.ok()) {
      container_ = response->container_id();
    }
    return response.status();
  }
  absl::Status DoStart() { return StartContainer(container_); }
  absl::Status DoStop() { return StopContainer(container_, 5); }
  absl::Status DoRemove() {
    v1::RemoveContainerRequest request;
    request.set_container_id(container_);
    return client().RemoveContainer(request).status();
  }
  absl::Status DoStopPod() {
    v1::StopPodSandboxRequest request;
    request.set_pod_sandbox_id(pod_.id);
    return client().StopPodSandbox(request).status();
  }
  absl::Status DoRemovePod() {
    v1::RemovePodSandboxRequest request;
    request.set_pod_sandbox_id(pod_.id);
    return client().RemovePodSandbox(request).status();
  }

  struct Step {
    const char* operation;
    absl::Status (Failpoint::*take)();
  };

  // All steps in order, `trouble` called at the one that the failpoint strikes.
  void GoThrough(const std::function<void(const Step&)>& trouble) {
    const Step steps[] = {{"pull_image", &Failpoint::DoPull},
                          {"run_pod_sandbox", &Failpoint::DoRunPod},
                          {"create_container", &Failpoint::DoCreateFirst},
                          {"start_container", &Failpoint::DoStart},
                          {"stop_container", &Failpoint::DoStop},
                          {"remove_container", &Failpoint::DoRemove},
                          {"stop_pod_sandbox", &Failpoint::DoStopPod},
                          {"remove_pod_sandbox", &Failpoint::DoRemovePod}};
    for (const Step& step : steps) {
      const absl::Status status = (this->*step.take)();
      if (!status.ok()) {
        EXPECT_EQ(step.operation, Operation()) << status;
        ASSERT_FALSE(struck_) << step.operation << " fails again: " << status;
        struck_ = true;
        told_ = status;
        ASSERT_NO_FATAL_FAILURE(trouble(step));
      }
    }
    EXPECT_TRUE(struck_) << "no step passed the failpoint";
  }
  absl::Status DoCreateFirst() { return DoCreate(0); }

  // The same request again must do it. A container whose start failed has had its life: the kubelet
  // makes the next attempt.
  void Retry(const Step& step) {
    if (Operation() != "start_container") {
      const absl::Status again = (this->*step.take)();
      EXPECT_TRUE(again.ok()) << step.operation << " again: " << again;
      return;
    }
    const auto state = Status(container_).state();
    EXPECT_NE(state, v1::CONTAINER_UNKNOWN);
    if (state == v1::CONTAINER_CREATED) {
      EXPECT_TRUE(DoStart().ok());
    } else if (state == v1::CONTAINER_EXITED) {
      EXPECT_NE(Status(container_).exit_code(), 0);
      Must(DoRemove());
      Must(DoCreate(1));
      Must(DoStart());
    }
    EXPECT_EQ(Status(container_).state(), v1::CONTAINER_RUNNING);
    EXPECT_EQ(Exec(container_, {"true"}).exit_code(), 0);
  }

  // Before any retry: what the step was making is gone, what was there before is there.
  void ExpectNothingHalfMade() {
    if (Operation() == "run_pod_sandbox") {
      EXPECT_TRUE(Eventually([&] { return Pods().empty(); })) << "a half-made pod is there";
      EXPECT_EQ(Leaks(), "") << "after " << GetParam();
    }
    if (Operation() == "create_container") {
      EXPECT_TRUE(Eventually([&] { return Containers().empty(); }))
          << "a half-made container is there";
      EXPECT_TRUE(Eventually([&] {
        return ListDir(daemon().run() + "/containers").value_or(std::vector<std::string>()).empty();
      }));
      EXPECT_EQ(PodStatus(pod_.id).state(), v1::SANDBOX_READY);
    }
  }

  Pod pod_;
  std::string container_;
  bool struck_ = false;
  absl::Status told_;
};

TEST_P(Failpoint, CrashIsRecovered) {
  StartDaemon({.drop_in = {}, .failpoints = GetParam() + "=crash"});
  GoThrough([&](const Step& step) {
    ASSERT_TRUE(daemon().AwaitEnd()) << step.operation << ": " << told_;
    StartDaemon({.drop_in = {}, .failpoints = {}});
    ExpectNothingHalfMade();
    Retry(step);
  });
  EXPECT_TRUE(Pods().empty());
  EXPECT_TRUE(Containers().empty());
}

TEST_P(Failpoint, ErrorIsUndone) {
  StartDaemon({.drop_in = {}, .failpoints = GetParam() + "=error@1"});
  GoThrough([&](const Step& step) {
    EXPECT_NE(std::string(told_.message()).find(GetParam()), std::string::npos) << told_;
    ExpectNothingHalfMade();
    Retry(step);
  });
  EXPECT_TRUE(Pods().empty());
  EXPECT_TRUE(Containers().empty());
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Steps, Failpoint, testing::ValuesIn(FailpointsOfTheSources()), TestName);

// A name that no source has would test nothing.
TEST(Failpoints, AreFound) {
  EXPECT_GT(FailpointsOfTheSources().size(), 15U);
}

}  // namespace
}  // namespace davit::e2e
