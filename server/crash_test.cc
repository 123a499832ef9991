// SPDX-License-Identifier: Apache-2.0
//
// A daemon killed by SIGKILL at each named step of each operation. The daemon is this test's own
// binary, run again as a child; the test then starts another over the same directories.
#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "base/failpoint.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "server/container/container_rpcs.h"
#include "server/sandbox/sandbox_rpcs.h"
#include "server/test_node.h"

namespace davit::server {
namespace {

using namespace std::chrono_literals;
namespace v1 = runtime::v1;

v1::PodSandboxConfig SharedPidPod(const std::string& name) {
  v1::PodSandboxConfig config = PodConfig(name);
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::POD);
  return config;
}

// What the daemon that dies does: all operations in turn.
TEST(CrashChild, DISABLED_LivesUntilTheFailpoint) {
  const char* dir = getenv("DAVIT_TEST_DIR");
  ASSERT_NE(dir, nullptr);
  TestMachine machine(dir);
  ASSERT_TRUE(failpoint::LoadFromEnvironment().ok());
  const std::string pod = machine.RunPod(SharedPidPod("victim"));
  const std::string id = machine.StartShell(pod, "c", "exec sleep 1000000");
  Context ctx(30s);
  v1::RemoveContainerRequest remove;
  remove.set_container_id(id);
  EXPECT_TRUE(RemoveContainer(machine.node(), ctx, remove).ok());
  machine.StartShell(pod, "d", "exec sleep 1000000");
  v1::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(pod);
  EXPECT_TRUE(StopPodSandbox(machine.node(), ctx, stop).ok());
  machine.RemovePod(pod);
}

class Crash : public testing::TestWithParam<const char*> {};

TEST_P(Crash, NothingIsLostOrLeaked) {
  if (const std::string why = WhyNoMachine(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  TestMachine machine;
  const std::string bystander = machine.RunPod(PodConfig("bystander"));
  const std::string safe = machine.StartShell(bystander, "c", "exec sleep 1000000");
  const auto before = machine.Record(safe);
  machine.End();

  Context ctx(60s);
  std::vector<std::string> env = MinimalEnv();
  env.push_back("DAVIT_TEST_DIR=" + machine.dir());
  env.push_back(std::string("DAVIT_FAILPOINTS=") + GetParam() + "=crash");
  const auto child = davit::Run(ctx, {.argv = {"/proc/self/exe", "--gtest_also_run_disabled_tests",
                                               "--gtest_filter=CrashChild.*"},
                                      .env = env});
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(child->exit.signal, SIGKILL) << child->out << child->err;

  machine.Start();
  // Lost nothing.
  EXPECT_EQ(machine.Record(safe)->SerializeAsString(), before->SerializeAsString());
  // What was being made or unmade ends in a settled state, and its name can be used.
  const std::string pod = machine.RunPod(SharedPidPod("victim"));
  machine.RemovePod(pod);
  machine.RemovePod(bystander);
  std::vector<std::string> left;
  EXPECT_TRUE(Eventually([&] {
    left = machine.Leftovers();
    return left.empty();
  })) << testing::PrintToString(left);
}

INSTANTIATE_TEST_SUITE_P(
    AtEachStep, Crash,
    testing::Values("run_pod_sandbox.after_intent", "run_pod_sandbox.after_namespaces",
                    "run_pod_sandbox.after_files", "run_pod_sandbox.after_cgroup",
                    "run_pod_sandbox.after_infra", "run_pod_sandbox.after_network",
                    "run_pod_sandbox.before_ready", "create_container.after_intent",
                    "create_container.after_rootfs", "create_container.after_mount",
                    "create_container.after_volumes", "create_container.before_created",
                    "start_container.after_intent", "start_container.after_monitor",
                    "start_container.after_running", "release_container.after_cgroup",
                    "release_container.after_runtime", "remove_container.after_intent",
                    "remove_container.after_runtime", "remove_container.after_volumes",
                    "remove_container.after_rootfs", "remove_container.before_delete",
                    "stop_pod_sandbox.after_intent", "stop_pod_sandbox.after_containers",
                    "stop_pod_sandbox.after_infra", "stop_pod_sandbox.after_network",
                    "stop_pod_sandbox.before_stopped", "remove_pod_sandbox.after_intent",
                    "remove_pod_sandbox.after_containers", "remove_pod_sandbox.after_files",
                    "remove_pod_sandbox.before_delete"),
    [](const auto& step) {
      std::string name = step.param;
      name[name.find('.')] = '_';
      return name;
    });

}  // namespace
}  // namespace davit::server
