// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

class ResourcesTest : public testing::Test {
 protected:
  Json Build() {
    const absl::StatusOr<Json> json = BuildResources(request_, v2_, sys_.path());
    EXPECT_TRUE(json.ok()) << Text(json.status());
    return json.ok() ? *json : Json();
  }
  std::string Error() { return Text(BuildResources(request_, v2_, sys_.path()).status()); }
  void GiveSwapAccounting() {
    sys_.Write(v2_ ? "fs/cgroup/system.slice/memory.swap.max"
                   : "fs/cgroup/memory/memory.memsw.limit_in_bytes",
               "max");
  }

  TempDir sys_;
  runtime::v1::LinuxContainerResources request_;
  bool v2_ = false;
};

TEST_F(ResourcesTest, NothingAskedIsNothingSet) {
  EXPECT_EQ(Build(), Json::object());
}

TEST_F(ResourcesTest, Cpu) {
  request_.set_cpu_shares(512);
  request_.set_cpu_period(100000);
  request_.set_cpu_quota(20000);
  request_.set_cpuset_cpus("0-1,3");
  request_.set_cpuset_mems("0");
  Json expected = {
      {"shares", 512}, {"period", 100000}, {"quota", 20000}, {"cpus", "0-1,3"}, {"mems", "0"}};
  EXPECT_EQ(Build()["cpu"], expected);
  request_.set_cpu_quota(-1);
  expected.erase("quota");
  EXPECT_EQ(Build()["cpu"], expected) << "what a new cgroup has is not said";
}

TEST_F(ResourcesTest, MemoryWithoutSwapAccounting) {
  request_.set_memory_limit_in_bytes(64 << 20);
  EXPECT_EQ(Build()["memory"], Json({{"limit", 64 << 20}}));
  request_.set_memory_swap_limit_in_bytes(64 << 20);
  EXPECT_EQ(Build()["memory"], Json({{"limit", 64 << 20}}));
  request_.set_memory_swap_limit_in_bytes(65 << 20);
  EXPECT_EQ(Error().rfind("FAILED_PRECONDITION: resources.memory_swap_limit_in_bytes", 0), 0U)
      << Error();
}

TEST_F(ResourcesTest, SwapFollowsMemory) {
  for (const bool v2 : {false, true}) {
    v2_ = v2;
    GiveSwapAccounting();
    request_.Clear();
    request_.set_memory_limit_in_bytes(1000);
    EXPECT_EQ(Build()["memory"], Json({{"limit", 1000}, {"swap", 1000}}));
    request_.set_memory_swap_limit_in_bytes(3000);
    EXPECT_EQ(Build()["memory"], Json({{"limit", 1000}, {"swap", 3000}}));
    request_.set_memory_swap_limit_in_bytes(-1);
    EXPECT_EQ(Build()["memory"], Json({{"limit", 1000}, {"swap", -1}}));
    request_.set_memory_swap_limit_in_bytes(999);
    EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: resources.memory_swap_limit_in_bytes", 0), 0U);
  }
}

TEST_F(ResourcesTest, RefusesValuesThatMakeNoSense) {
  const auto refused = [this](const char* field) {
    EXPECT_EQ(Error().rfind(std::string("INVALID_ARGUMENT: resources.") + field, 0), 0U) << Error();
    request_.Clear();
  };
  request_.set_cpu_shares(-1);
  refused("cpu_shares");
  request_.set_cpu_period(-1);
  refused("cpu_period");
  request_.set_cpu_quota(-2);
  refused("cpu_quota");
  request_.set_cpuset_cpus("0\n1");
  refused("cpuset_cpus");
  request_.set_cpuset_mems("all");
  refused("cpuset_mems");
  request_.set_memory_limit_in_bytes(-2);
  refused("memory_limit_in_bytes");
  request_.set_memory_swap_limit_in_bytes(-2);
  refused("memory_swap_limit_in_bytes");
  request_.add_hugepage_limits()->set_page_size("../2MB");
  refused("hugepage_limits");
}

TEST_F(ResourcesTest, Hugepages) {
  auto* limit = request_.add_hugepage_limits();
  limit->set_page_size("2MB");
  EXPECT_FALSE(Build().contains("hugepageLimits"));
  limit->set_limit(4 << 20);
  EXPECT_EQ(Error().rfind("FAILED_PRECONDITION: resources.hugepage_limits 2MB", 0), 0U) << Error();
  sys_.Write("fs/cgroup/hugetlb/hugetlb.2MB.limit_in_bytes", "");
  EXPECT_EQ(Build()["hugepageLimits"], Json::array({{{"pageSize", "2MB"}, {"limit", 4 << 20}}}));
  v2_ = true;
  EXPECT_EQ(Error().rfind("FAILED_PRECONDITION", 0), 0U);
  sys_.Write("fs/cgroup/cgroup.controllers", "cpu hugetlb memory\n");
  EXPECT_EQ(Build()["hugepageLimits"].size(), 1U);
}

TEST_F(ResourcesTest, Unified) {
  (*request_.mutable_unified())["memory.high"] = "100";
  EXPECT_EQ(Error(),
            "FAILED_PRECONDITION: resources.unified memory.high: this host runs cgroup v1");
  v2_ = true;
  EXPECT_EQ(Build()["unified"], Json({{"memory.high", "100"}}));
  for (const std::string key : {"../memory.high", "a/b", "", ".x", "a\nb"}) {
    request_.Clear();
    (*request_.mutable_unified())[key] = "1";
    EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: resources.unified", 0), 0U) << key;
  }
  request_.Clear();
  (*request_.mutable_unified())["memory.high"] = "1\n2";
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: resources.unified", 0), 0U);
}

TEST_F(ResourcesTest, Update) {
  request_.set_cpu_shares(300);
  const absl::StatusOr<std::string> json = UpdateResources(request_, false);
  ASSERT_TRUE(json.ok()) << Text(json.status());
  EXPECT_EQ(Json::parse(*json), Json({{"cpu", {{"shares", 300}}}}));
  request_.set_cpu_quota(-5);
  EXPECT_EQ(UpdateResources(request_, false).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ResourcesInSpec, PidsLimitOfTheNode) {
  TestRequest request;
  EXPECT_FALSE(request.Config()["linux"]["resources"].contains("pids"));
  request.node.pids_limit = 99;
  EXPECT_EQ(request.Config()["linux"]["resources"]["pids"], Json({{"limit", 99}}));
}

}  // namespace
}  // namespace davit::server::spec
