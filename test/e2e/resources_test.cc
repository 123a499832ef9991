// SPDX-License-Identifier: Apache-2.0
//
// What of a node's CPUs and block devices a container gets by the node's configuration:
// docs/resources.md.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/cgroup.h"
#include "base/cpus.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"
#include "test/e2e/isolation.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

constexpr char kSleep[] = "exec sleep 1000000";
constexpr char kManagement[] = "e2e.davit.io/management";
constexpr char kBlockIo[] = "io.kubernetes.cri.blockio-class";
constexpr char kNoQuota[] = "cpu-quota.crio.io";
constexpr char kNoBalancing[] = "cpu-load-balancing.crio.io";
// A moment later: kernels before 6.2 let an exec begin on any CPU of the cpuset.
constexpr char kShowStatus[] = "sleep 0.3; cat /proc/self/status";

// A disk of this machine, "" if there is none.
std::string Disk() {
  for (const char* path : {"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"}) {
    struct stat st = {};
    if (stat(path, &st) == 0 && S_ISBLK(st.st_mode)) {
      return path;
    }
  }
  return "";
}

std::string NumbersOf(const std::string& device) {
  struct stat st = {};
  EXPECT_EQ(stat(device.c_str(), &st), 0) << device;
  return fmt::format("{}:{}", major(st.st_rdev), minor(st.st_rdev));
}

std::string AllowedCpus(const std::string& status) {
  for (const std::string& line : Split(status, '\n')) {
    const auto words = Words(line);
    if (words.size() == 2 && words[0] == "Cpus_allowed_list:") {
      return words[1];
    }
  }
  return "nothing in: " + status;
}

class Resources : public E2eTest {
 protected:
  void SetUp() override {
    all_ = GetAffinity(0).value_or(CpuSet());
    E2eTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    if (all_.size() < 2) {
      GTEST_SKIP() << "needs two CPUs";
    }
    Pull("busybox");
  }

  TestDaemon::Options DaemonOptions() override {
    Must(WriteFileAtomic(BlockIoFile(), "Classes:\n  slow:\n  - Devices: [\"" + Disk() +
                                            "\"]\n    ThrottleReadBps: 1M\n"));
    const std::string handler = "{exec_cpu_affinity: first, allowed_annotations: [" +
                                std::string(kBlockIo) + ", " + kNoQuota + ", " + kNoBalancing +
                                "]}\n";
    return {
        .drop_in = "runtime:\n  blockio_config: " + BlockIoFile() +
                   "\n  handlers:\n    crun: " + handler + "    runc: " + handler +
                   "  workloads:\n    management:\n      activation_annotation: " + kManagement +
                   "\n      annotation_prefix: resources.e2e.davit.io\n      resources: "
                   "{cpushares: 300, cpuset: \"" +
                   CpuListText({Last()}) +
                   "\"}\n    other: {activation_annotation: e2e.davit.io/other}\n",
        .failpoints = {}};
  }

  std::string BlockIoFile() { return daemon().dir() + "/blockio.yaml"; }
  [[nodiscard]] int First() const { return *all_.begin(); }
  [[nodiscard]] int Last() const { return *all_.rbegin(); }

  Pod RunPodWith(const std::string& handler, const v1::PodSandboxConfig& config) {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = config;
    request.set_runtime_handler(handler);
    return {.id = Must(client().RunPodSandbox(request)).pod_sandbox_id(), .config = config};
  }
  v1::PodSandboxConfig ManagementPod(const std::string& name) {
    auto config = PodConfig(name);
    (*config.mutable_annotations())[kManagement] = "";
    return config;
  }

  static std::string CgroupValue(const std::string& cgroup, const std::string& v1_controller,
                                 const std::string& v1_file, const std::string& v2_file) {
    const CgroupFs cgroups = Must(CgroupFs::Detect());
    const std::string& file = cgroups.mode() == CgroupMode::kV2 ? v2_file : v1_file;
    return std::string(Trim(Must(cgroups.Read(v1_controller, cgroup, file))));
  }
  std::string Cpuset(const Pod& pod, const std::string& id) {
    return CgroupValue(daemon().ProcessCgroup(pod.id, id), "cpuset", "cpuset.cpus", "cpuset.cpus");
  }

  // One whole CPU, as the kubelet's static CPU manager gives it.
  v1::ContainerConfig WithOwnCpu(const std::string& name) {
    auto config = ShellContainer(name, kSleep);
    auto& resources = *config.mutable_linux()->mutable_resources();
    resources.set_cpu_shares(1024);
    resources.set_cpu_period(100000);
    resources.set_cpu_quota(100000);
    resources.set_cpuset_cpus(std::to_string(Last()));
    return config;
  }
  static std::string Quota(const std::string& cgroup) {
    return Words(CgroupValue(cgroup, "cpu", "cpu.cfs_quota_us", "cpu.max"))[0];
  }

  CpuSet all_;
};

TEST_F(Resources, CommandsRunOnTheFirstCpuOfTheCpuset) {
  for (const char* name : {"crun", "runc"}) {
    if (!FindProgram(name).ok()) {
      continue;
    }
    const Pod pod = RunPodWith(name, PodConfig("pod"));
    auto config = ShellContainer("exclusive", kSleep);
    config.mutable_linux()->mutable_resources()->set_cpuset_cpus(CpuListText(all_));
    const std::string exclusive = Run(pod, config);
    EXPECT_EQ(AllowedCpus(ShellIn(exclusive, kShowStatus)), std::to_string(First())) << name;
    EXPECT_EQ(AllowedCpus(MustRun({DavitPath(), "--socket", daemon().socket(), "exec", exclusive,
                                   "sh", "-c", kShowStatus})),
              std::to_string(First()))
        << name;
    RememberDescriptors();  // the streaming thread runs, and stays
    v1::UpdateContainerResourcesRequest update;
    update.set_container_id(exclusive);
    update.mutable_linux()->set_cpuset_cpus(std::to_string(Last()));
    Must(client().UpdateContainerResources(update));
    EXPECT_EQ(AllowedCpus(ShellIn(exclusive, kShowStatus)), std::to_string(Last())) << name;
    const std::string shared = Run(pod, ShellContainer("shared", kSleep));
    EXPECT_EQ(AllowedCpus(ShellIn(shared, kShowStatus)), CpuListText(all_)) << name;
    RemovePod(pod.id);
  }
}

TEST_F(Resources, AWorkloadDecidesOnTheCpusOfItsPods) {
  auto pod_config = ManagementPod("management");
  (*pod_config.mutable_annotations())["resources.e2e.davit.io/chosen"] =
      R"({"cpushares": 600, "cpuset": ")" + std::to_string(First()) + "\"}";
  const Pod pod = RunPod(pod_config);
  auto config = ShellContainer("main", kSleep);
  config.mutable_linux()->mutable_resources()->set_cpu_shares(1024);
  const std::string main = Run(pod, config);
  config.mutable_metadata()->set_name("chosen");
  config.set_log_path("chosen.log");
  const std::string chosen = Run(pod, config);

  EXPECT_EQ(Cpuset(pod, main), std::to_string(Last()));
  EXPECT_EQ(Cpuset(pod, chosen), std::to_string(First()));
  EXPECT_EQ(Status(main).resources().linux().cpu_shares(), 300);
  EXPECT_EQ(Status(chosen).resources().linux().cpu_shares(), 600);
  for (const pid_t monitor : ChildrenOf(daemon().pid())) {
    EXPECT_EQ(GetAffinity(monitor).value_or(CpuSet()), CpuSet{Last()});
  }
  EXPECT_EQ(GetAffinity(daemon().pid()).value_or(CpuSet()), all_);

  // As the kubelet does when it hands out the CPUs that nobody has for himself.
  v1::UpdateContainerResourcesRequest update;
  update.set_container_id(main);
  update.mutable_linux()->set_cpuset_cpus(CpuListText(all_));
  update.mutable_linux()->set_memory_limit_in_bytes(64 << 20);
  Must(client().UpdateContainerResources(update));
  EXPECT_EQ(Cpuset(pod, main), std::to_string(Last()));
  EXPECT_EQ(Status(main).resources().linux().memory_limit_in_bytes(), 64 << 20);
}

TEST_F(Resources, TheInfraProcessOfAWorkloadIsOnItsCpus) {
  if (BySystemd()) {
    GTEST_SKIP() << "its cgroup has another name";
  }
  auto config = ManagementPod("shared");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::POD);
  const Pod pod = RunPod(config);
  const CgroupFs cgroups = Must(CgroupFs::Detect());
  const auto pids = Must(cgroups.Pids(daemon().PodCgroup(pod.id) + "/infra-" + pod.id));
  ASSERT_EQ(pids.size(), 1U);
  EXPECT_EQ(GetAffinity(pids[0]).value_or(CpuSet()), CpuSet{Last()});
}

TEST_F(Resources, WhatIsWrongWithAWorkloadIsRefusedByName) {
  auto config = ManagementPod("both");
  (*config.mutable_annotations())["e2e.davit.io/other"] = "";
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  ExpectError(client().RunPodSandbox(request).status(), Code::kInvalidArgument,
              "two workloads, management and other");
  config = ManagementPod("wrong");
  (*config.mutable_annotations())["resources.e2e.davit.io/main"] = R"({"cpus": 1})";
  const Pod pod = RunPod(config);
  ExpectError(client().CreateContainer(CreateRequest(pod, ShellContainer("main", kSleep))).status(),
              Code::kInvalidArgument, "annotation resources.e2e.davit.io/main: \"cpus\" is no");
}

TEST_F(Resources, ContainersWithCpusOfTheirOwnRunWithoutQuota) {
  auto pod_config = PodConfig("latency");
  (*pod_config.mutable_annotations())[kNoQuota] = "disable";
  const Pod pod = RunPod(pod_config);
  v1::UpdatePodSandboxResourcesRequest limits;
  limits.set_pod_sandbox_id(pod.id);
  limits.mutable_resources()->set_cpu_quota(300000);
  Must(client().UpdatePodSandboxResources(limits));
  EXPECT_EQ(Quota(daemon().PodCgroup(pod.id)), "300000");
  auto sidecar = ShellContainer("sidecar", kSleep);
  sidecar.mutable_linux()->mutable_resources()->set_cpu_quota(50000);
  const std::string other = Run(pod, sidecar);
  EXPECT_EQ(Quota(daemon().ProcessCgroup(pod.id, other)), "50000");
  EXPECT_EQ(Quota(daemon().PodCgroup(pod.id)), "300000");

  const bool v2 = Must(CgroupFs::Detect()).mode() == CgroupMode::kV2;
  const std::string none = v2 ? "max" : "-1";
  const std::string own = Run(pod, WithOwnCpu("own"));
  EXPECT_EQ(Quota(daemon().ProcessCgroup(pod.id, own)), none);
  EXPECT_EQ(Quota(daemon().PodCgroup(pod.id)), none);
  v1::UpdateContainerResourcesRequest update;
  update.set_container_id(own);
  *update.mutable_linux() = WithOwnCpu("own").linux().resources();
  Must(client().UpdateContainerResources(update));
  EXPECT_EQ(Quota(daemon().ProcessCgroup(pod.id, own)), none);
}

TEST_F(Resources, ContainersWithCpusOfTheirOwnRunWithoutLoadBalancing) {
  if (Must(CgroupFs::Detect()).mode() == CgroupMode::kV2) {
    GTEST_SKIP() << "needs kernel 6.7 there, and another hierarchy above";
  }
  auto pod_config = PodConfig("latency");
  (*pod_config.mutable_annotations())[kNoBalancing] = "disable";
  const Pod pod = RunPod(pod_config);
  const auto balanced = [&](const std::string& id) {
    return CgroupValue(daemon().ProcessCgroup(pod.id, id), "cpuset", "cpuset.sched_load_balance",
                       "");
  };
  const std::string own = Run(pod, WithOwnCpu("own"));
  const std::string other = Run(pod, ShellContainer("other", kSleep));
  EXPECT_EQ(balanced(own), "0");
  EXPECT_EQ(balanced(other), "1");
  v1::UpdateContainerResourcesRequest update;
  update.set_container_id(own);
  update.mutable_linux()->set_cpuset_cpus(CpuListText(all_));
  ExpectError(client().UpdateContainerResources(update).status(), Code::kFailedPrecondition,
              "which stay its own until it ends");
  EXPECT_TRUE(StopContainer(own, 0).ok());
  auto wrong = PodConfig("wrong");
  (*wrong.mutable_annotations())[kNoBalancing] = "off";
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = wrong;
  ExpectError(client().RunPodSandbox(request).status(), Code::kInvalidArgument,
              "cpu-load-balancing.crio.io: \"off\" is neither disable nor enable");
}

TEST_F(Resources, ABlockIoClassReachesTheCgroup) {
  const std::string disk = Disk();
  const CgroupFs cgroups = Must(CgroupFs::Detect());
  const bool v2 = cgroups.mode() == CgroupMode::kV2;
  if (disk.empty() || !cgroups.has(v2 ? "io" : "blkio")) {
    GTEST_SKIP() << "no disk, or no controller of block devices";
  }
  const Pod pod = RunPod("pod");
  auto config = ShellContainer("slow", kSleep);
  (*config.mutable_annotations())[kBlockIo] = "slow";
  const std::string id = Run(pod, config);
  const std::string limits = CgroupValue(daemon().ProcessCgroup(pod.id, id), v2 ? "io" : "blkio",
                                         "blkio.throttle.read_bps_device", "io.max");
  EXPECT_NE(limits.find(NumbersOf(disk) + (v2 ? " rbps=1000000" : " 1000000")), std::string::npos)
      << limits;
  config = ShellContainer("none", kSleep);
  (*config.mutable_annotations())[kBlockIo] = "nonesuch";
  ExpectError(client().CreateContainer(CreateRequest(pod, config)).status(),
              Code::kFailedPrecondition, "this node has no class nonesuch; " + BlockIoFile());
}

}  // namespace
}  // namespace davit::e2e
