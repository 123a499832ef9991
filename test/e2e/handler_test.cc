// SPDX-License-Identifier: Apache-2.0
//
// OCI runtimes other than the default one, good and bad.

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/subprocess.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

class Handler : public E2eTest {
 protected:
  TestDaemon::Options DaemonOptions() override {
    Must(WriteFileAtomic(Script(),
                         "#!/bin/sh\n"
                         "case \"$*\" in *--version*) echo broken version 1.0.0; exit 0;; esac\n"
                         "echo 'the boiler is out of order' >&2\nexit 1\n",
                         0755));
    return {.drop_in = "runtime:\n  handlers:\n    broken: {path: " + Script() + "}\n",
            .failpoints = {}};
  }
  void SetUp() override {
    E2eTest::SetUp();
    if (!IsSkipped()) {
      Pull("busybox");
    }
  }
  std::string Script() { return daemon().dir() + "/broken-runtime"; }
  Pod RunPodWith(const std::string& handler) {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = PodConfig("pod");
    request.set_runtime_handler(handler);
    return {.id = Must(client().RunPodSandbox(request)).pod_sandbox_id(),
            .config = request.config()};
  }
};

TEST_F(Handler, EachInstalledRuntimeRunsContainers) {
  for (const char* name : {"crun", "runc"}) {
    if (!FindProgram(name).ok()) {
      continue;
    }
    const Pod pod = RunPodWith(name);
    EXPECT_EQ(PodStatus(pod.id).runtime_handler(), name);
    auto config =
        ShellContainer("main", "echo up; trap 'exit 6' TERM; while :; do usleep 20000; done");
    config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64 << 20);
    const std::string id = Run(pod, config);
    AwaitLog(LogPath(pod, "main"), "up");
    EXPECT_EQ(ShellIn(id, "echo in $0"), "in sh\n");
    v1::UpdateContainerResourcesRequest update;
    update.set_container_id(id);
    update.mutable_linux()->set_memory_limit_in_bytes(96 << 20);
    EXPECT_TRUE(client().UpdateContainerResources(update).ok()) << name;
    RestartDaemon(DaemonOptions());
    EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING) << name;
    EXPECT_TRUE(StopContainer(id, 30).ok());
    EXPECT_EQ(Status(id).exit_code(), 6) << name;
    const std::string missing = Create(pod, Container("missing", {"no-such-command"}));
    const absl::Status started = StartContainer(missing);
    EXPECT_NE(std::string(started.message()).find("executable file not found in $PATH"),
              std::string::npos)
        << name << ": " << started;
    RemovePod(pod.id);
  }
}

TEST_F(Handler, OneThatFailsIsQuotedAndNothingStays) {
  const Pod pod = RunPodWith("broken");
  const auto created = client().CreateContainer(CreateRequest(pod, ShellContainer("main", "true")));
  const absl::Status status =
      created.ok() ? StartContainer(created->container_id()) : created.status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("the boiler is out of order"), std::string::npos)
      << status;
  if (created.ok()) {
    const auto told = Status(created->container_id());
    EXPECT_EQ(told.state(), v1::CONTAINER_EXITED);
    EXPECT_EQ(told.reason(), "StartError");
    EXPECT_NE(told.message().find("the boiler is out of order"), std::string::npos);
    RemoveContainer(created->container_id());
  }
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_F(Handler, OneThatVanishesIsNamed) {
  const Pod pod = RunPodWith("broken");
  const std::string id = Create(pod, ShellContainer("main", "true"));
  Must(RemoveFile(Script()));
  const absl::Status status = StartContainer(id);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find(Script()), std::string::npos) << status;
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

}  // namespace
}  // namespace davit::e2e
