// SPDX-License-Identifier: Apache-2.0
//
// Cgroups made by systemd: slices and scopes as it sees them. On a machine with systemd only, with
// DAVIT_E2E_CGROUP_MANAGER=systemd, as test/vm sets it.

#include <gtest/gtest.h>

#include "base/cgroup.h"
#include "base/text.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"
#include "test/e2e/isolation.h"

namespace davit::e2e {
namespace {

constexpr int64_t kMiB = 1 << 20;

std::string Property(const std::string& unit, const std::string& name) {
  return std::string(Trim(MustRun({"systemctl", "show", "--value", "--property", name, unit})));
}

std::string UnitOf(const std::string& cgroup) {
  return cgroup.substr(cgroup.rfind('/') + 1);
}

class SystemdTest : public E2eTest {
 protected:
  void SetUp() override {
    if (!BySystemd()) {
      GTEST_SKIP() << "systemd does not make the cgroups of this run";
    }
    E2eTest::SetUp();
    if (!IsSkipped()) {
      Pull("busybox");
      pod_ = RunPod("pod");
    }
  }

  std::string Slice() { return UnitOf(daemon().PodCgroup(pod_.id)); }
  std::string Scope(const std::string& id) { return UnitOf(daemon().ContainerCgroup(pod_.id, id)); }
  std::string Value(const std::string& controller, const std::string& file) {
    return std::string(
        Trim(Must(Must(CgroupFs::Detect()).Read(controller, daemon().PodCgroup(pod_.id), file))));
  }

  Pod pod_;
};

TEST_F(SystemdTest, PodsAreSlicesAndContainersScopes) {
  const std::string id = Run(pod_, ShellContainer("c", "exec sleep 1000"));
  EXPECT_EQ(Property(Slice(), "ActiveState"), "active");
  EXPECT_EQ(Property(Slice(), "ControlGroup"), daemon().PodCgroup(pod_.id));
  EXPECT_EQ(Property(Scope(id), "ActiveState"), "active");
  EXPECT_EQ(Property(Scope(id), "Slice"), Slice());
  EXPECT_EQ(Property(Scope(id), "ControlGroup"), daemon().ContainerCgroup(pod_.id, id));
  RestartDaemon();
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  EXPECT_TRUE(StopContainer(id, 0).ok());
  RemovePod(pod_.id);
  EXPECT_EQ(Property(Scope(id), "LoadState"), "not-found");
  EXPECT_EQ(Property(Slice(), "ActiveState"), "inactive");
}

// systemd writes what it knows whenever it looks at the slice again.
TEST_F(SystemdTest, KeepsTheResourcesOfAPod) {
  const std::string id = Run(pod_, ShellContainer("c", "exec sleep 1000"));
  v1::UpdatePodSandboxResourcesRequest request;
  request.set_pod_sandbox_id(pod_.id);
  request.mutable_resources()->set_cpu_shares(512);
  request.mutable_resources()->set_cpu_quota(70'000);
  request.mutable_resources()->set_cpu_period(100'000);
  request.mutable_resources()->set_memory_limit_in_bytes(200 * kMiB);
  request.mutable_resources()->set_cpuset_cpus("0");
  (*request.mutable_resources()->mutable_unified())["memory.high"] = std::to_string(150 * kMiB);
  Must(client().UpdatePodSandboxResources(request).status());
  const auto expect_kept = [&] {
    EXPECT_EQ(Value("memory", "memory.max"), std::to_string(200 * kMiB));
    EXPECT_EQ(Value("memory", "memory.high"), std::to_string(150 * kMiB));
    EXPECT_EQ(Value("cpu", "cpu.weight"), "20");
    EXPECT_EQ(Value("cpu", "cpu.max"), "70000 100000");
    EXPECT_EQ(Value("cpuset", "cpuset.cpus"), "0");
  };
  expect_kept();
  MustRun({"systemctl", "daemon-reload"});
  MustRun({"systemctl", "set-property", "--runtime", Slice(), "TasksMax=1000", "MemoryLow=1M"});
  EXPECT_EQ(Value("pids", "pids.max"), "1000");
  expect_kept();
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
}

TEST_F(SystemdTest, KeepsTheResourcesOfAContainer) {
  auto config = ShellContainer("c", "exec sleep 1000");
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(128 * kMiB);
  config.mutable_linux()->mutable_resources()->set_cpu_quota(15'500);
  config.mutable_linux()->mutable_resources()->set_cpu_period(100'000);
  const std::string id = Run(pod_, config);
  const CgroupFs cgroups = Must(CgroupFs::Detect());
  const auto value = [&](const char* controller, const char* file) {
    return std::string(
        Trim(Must(cgroups.Read(controller, daemon().ContainerCgroup(pod_.id, id), file))));
  };
  EXPECT_EQ(value("cpu", "cpu.max"), "15500 100000");
  // Not the share of the node's that systemd gives where nobody says anything.
  EXPECT_EQ(value("pids", "pids.max"), "max");
  MustRun({"systemctl", "set-property", "--runtime", Scope(id), "MemoryLow=1M"});
  EXPECT_EQ(value("memory", "memory.max"), std::to_string(128 * kMiB));
  v1::UpdateContainerResourcesRequest request;
  request.set_container_id(id);
  request.mutable_linux()->set_memory_limit_in_bytes(64 * kMiB);
  Must(client().UpdateContainerResources(request).status());
  MustRun({"systemctl", "daemon-reload"});
  MustRun({"systemctl", "set-property", "--runtime", Scope(id), "MemoryLow=2M"});
  EXPECT_EQ(value("memory", "memory.max"), std::to_string(64 * kMiB));
}

// A scope that ends so has failed, and would be kept.
TEST_F(SystemdTest, LeavesNoFailedScope) {
  auto config = ShellContainer("eater", "exec tail /dev/zero");
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(20 * kMiB);
  const std::string id = Run(pod_, config);
  EXPECT_EQ(AwaitExit(id).reason(), "OOMKilled");
  RemoveContainer(id);
  EXPECT_EQ(Property(Scope(id), "LoadState"), "not-found");
}

TEST_F(SystemdTest, SharedPidNamespaceHasAScopeOfItsOwn) {
  auto config = PodConfig("shared");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::POD);
  const Pod pod = RunPod(config);
  const std::string id = Run(pod, ShellContainer("c", "exec sleep 1000"));
  const std::string infra = "davit-infra-" + pod.id + ".scope";
  EXPECT_EQ(Property(infra, "ActiveState"), "active");
  EXPECT_EQ(Property(infra, "Slice"), UnitOf(daemon().PodCgroup(pod.id)));
  RemovePod(pod.id);
  EXPECT_EQ(Property(infra, "LoadState"), "not-found");
}

class MonitorCgroupTest : public SystemdTest {
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = "runtime:\n  monitor_cgroup: pod\n", .failpoints = {}};
  }
};

TEST_F(MonitorCgroupTest, InThePod) {
  const std::string id = Run(pod_, ShellContainer("c", "exec sleep 1000"));
  const std::string monitor = "davit-monitor-" + id + ".scope";
  EXPECT_EQ(Property(monitor, "Slice"), Slice());
  EXPECT_TRUE(StopContainer(id, 0).ok());
  RemovePod(pod_.id);
  EXPECT_EQ(Property(monitor, "LoadState"), "not-found");
}

}  // namespace
}  // namespace davit::e2e
