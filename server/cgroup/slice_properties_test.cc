// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/slice_properties.h"

#include <map>

#include <gtest/gtest.h>

namespace davit::server {
namespace {

using Resources = runtime::v1::LinuxContainerResources;
using Bytes = std::vector<uint8_t>;

// Numbers only.
std::map<std::string, uint64_t> Numbers(const Resources& resources, bool v2 = true) {
  std::map<std::string, uint64_t> numbers;
  const auto properties = SliceProperties(resources, v2);
  EXPECT_TRUE(properties.ok()) << properties.status();
  if (properties.ok()) {
    for (const auto& property : *properties) {
      numbers[property.name] = std::get<uint64_t>(property.value);
    }
  }
  return numbers;
}

TEST(SliceProperties, SaysNothingOfWhatIsNotSet) {
  EXPECT_TRUE(Numbers({}).empty());
}

TEST(SliceProperties, OfV2) {
  Resources resources;
  resources.set_cpu_shares(1024);
  resources.set_cpu_quota(12'345);
  resources.set_cpu_period(50'000);
  resources.set_memory_limit_in_bytes(100 << 20);
  resources.set_memory_swap_limit_in_bytes(150 << 20);
  const std::map<std::string, uint64_t> expected = {{"CPUWeight", 39},
                                                    {"CPUQuotaPerSecUSec", 250'000},
                                                    {"CPUQuotaPeriodUSec", 50'000},
                                                    {"MemoryMax", 100 << 20},
                                                    {"MemorySwapMax", 50 << 20}};
  EXPECT_EQ(Numbers(resources), expected);
}

TEST(SliceProperties, OfV1) {
  Resources resources;
  resources.set_cpu_shares(1024);
  resources.set_memory_limit_in_bytes(100 << 20);
  const std::map<std::string, uint64_t> expected = {{"CPUShares", 1024},
                                                    {"MemoryLimit", 100 << 20}};
  EXPECT_EQ(Numbers(resources, false), expected);
}

TEST(SliceProperties, NoLimit) {
  Resources resources;
  resources.set_cpu_quota(-1);
  resources.set_memory_limit_in_bytes(-1);
  resources.set_memory_swap_limit_in_bytes(-1);
  for (const auto& [name, value] : Numbers(resources)) {
    EXPECT_EQ(value, UINT64_MAX) << name;
  }
}

TEST(SliceProperties, SetsAreBits) {
  Resources resources;
  resources.set_cpuset_cpus("0-3,9");
  resources.set_cpuset_mems("0");
  const auto properties = SliceProperties(resources, true);
  ASSERT_TRUE(properties.ok()) << properties.status();
  ASSERT_EQ(properties->size(), 2U);
  EXPECT_EQ(std::get<Bytes>((*properties)[0].value), (Bytes{0x0f, 0x02}));
  EXPECT_EQ(std::get<Bytes>((*properties)[1].value), (Bytes{0x01}));
  for (const char* bad : {"3-1", "x", "0-", "1-99999999"}) {
    resources.set_cpuset_cpus(bad);
    EXPECT_TRUE(absl::IsInvalidArgument(SliceProperties(resources, true).status())) << bad;
  }
}

TEST(SliceProperties, UnifiedFilesThatSystemdWritesToo) {
  Resources resources;
  (*resources.mutable_unified())["memory.high"] = "max";
  (*resources.mutable_unified())["memory.low"] = "4096";
  (*resources.mutable_unified())["pids.max"] = "7";
  (*resources.mutable_unified())["cpu.max"] = "50000 100000";
  (*resources.mutable_unified())["hugetlb.2MB.max"] = "0";
  const std::map<std::string, uint64_t> expected = {{"MemoryHigh", UINT64_MAX},
                                                    {"MemoryLow", 4096},
                                                    {"TasksMax", 7},
                                                    {"CPUQuotaPerSecUSec", 500'000},
                                                    {"CPUQuotaPeriodUSec", 100'000}};
  EXPECT_EQ(Numbers(resources), expected);
  (*resources.mutable_unified())["memory.low"] = "much";
  EXPECT_TRUE(absl::IsInvalidArgument(SliceProperties(resources, true).status()));
}

}  // namespace
}  // namespace davit::server
