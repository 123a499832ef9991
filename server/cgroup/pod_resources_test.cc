// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/pod_resources.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"

namespace davit::server {
namespace {

using Resources = runtime::v1::LinuxContainerResources;

class PodResourcesTest : public testing::Test {
 protected:
  PodResourcesTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "davit-pod-resources-XXXXXX").string();
    dir_ = mkdtemp(pattern.data()) == nullptr ? "" : pattern;
  }
  ~PodResourcesTest() override { EXPECT_TRUE(RemoveTree(dir_).ok()); }

  void File(const std::string& name, const std::string& text = "") {
    const std::string path = JoinPath(dir_, name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }
  std::string Text(const std::string& name) {
    return ReadFile(JoinPath(dir_, name)).value_or("(none)");
  }

  std::string dir_;
};

TEST_F(PodResourcesTest, WritesV2) {
  for (const char* name :
       {"cgroup.procs", "cpu.weight", "cpu.max", "memory.max", "cpuset.cpus", "memory.high"}) {
    File(std::string("pod/") + name);
  }
  File("pod/memory.current", "1000\n");
  File("cgroup.controllers", "cpu memory\n");
  const CgroupFs fs = CgroupFs::ForTest(CgroupMode::kV2, {{"", dir_}});
  Resources resources;
  resources.set_cpu_shares(1024);
  resources.set_cpu_quota(20'000);
  resources.set_cpu_period(50'000);
  resources.set_memory_limit_in_bytes(1 << 20);
  resources.set_cpuset_cpus("0-1");
  (*resources.mutable_unified())["memory.high"] = "900000";
  const absl::Status applied = ApplyPodResources(fs, "/pod", resources);
  ASSERT_TRUE(applied.ok()) << applied;
  EXPECT_EQ(Text("pod/cpu.weight"), "39");
  EXPECT_EQ(Text("pod/cpu.max"), "20000 50000");
  EXPECT_EQ(Text("pod/memory.max"), "1048576");
  EXPECT_EQ(Text("pod/cpuset.cpus"), "0-1");
  EXPECT_EQ(Text("pod/memory.high"), "900000");
}

TEST_F(PodResourcesTest, WritesV1) {
  for (const char* name : {"cpu/p/cpu.shares", "cpu/p/cpu.cfs_quota_us", "cpu/p/cpu.cfs_period_us",
                           "memory/p/memory.limit_in_bytes"}) {
    File(name);
  }
  const CgroupFs fs =
      CgroupFs::ForTest(CgroupMode::kV1, {{"cpu", dir_ + "/cpu"}, {"memory", dir_ + "/memory"}});
  Resources resources;
  resources.set_cpu_shares(512);
  resources.set_cpu_quota(-1);
  resources.set_memory_limit_in_bytes(4096);
  const absl::Status applied = ApplyPodResources(fs, "/p", resources);
  ASSERT_TRUE(applied.ok()) << applied;
  EXPECT_EQ(Text("cpu/p/cpu.shares"), "512");
  EXPECT_EQ(Text("cpu/p/cpu.cfs_quota_us"), "-1");
  EXPECT_EQ(Text("cpu/p/cpu.cfs_period_us"), "") << "not asked for";
  EXPECT_EQ(Text("memory/p/memory.limit_in_bytes"), "4096");
}

TEST_F(PodResourcesTest, RefusesALimitBelowUse) {
  File("pod/memory.current", "5000\n");
  File("pod/memory.max", "max\n");
  const CgroupFs fs = CgroupFs::ForTest(CgroupMode::kV2, {{"", dir_}});
  Resources resources;
  resources.set_memory_limit_in_bytes(4096);
  const absl::Status refused = ApplyPodResources(fs, "/pod", resources);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_EQ(Text("pod/memory.max"), "max\n");
  resources.set_memory_limit_in_bytes(-7);
  EXPECT_TRUE(absl::IsInvalidArgument(ApplyPodResources(fs, "/pod", resources)));
}

TEST(AddOverhead, AddsWhatIsLimited) {
  Resources resources;
  resources.set_cpu_quota(20'000);
  resources.set_cpu_period(100'000);
  resources.set_memory_limit_in_bytes(100);
  Resources overhead;
  overhead.set_cpu_quota(5'000);
  overhead.set_cpu_period(50'000);
  overhead.set_memory_limit_in_bytes(11);
  overhead.set_cpu_shares(5);
  const Resources sum = AddOverhead(resources, overhead);
  EXPECT_EQ(sum.cpu_quota(), 30'000);
  EXPECT_EQ(sum.memory_limit_in_bytes(), 111);
  EXPECT_EQ(sum.cpu_shares(), 0) << "without a share of its own a pod gets none by its overhead";
  EXPECT_EQ(sum.memory_swap_limit_in_bytes(), 0);
}

}  // namespace
}  // namespace davit::server
