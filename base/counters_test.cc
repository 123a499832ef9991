// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/cgroup_details.h"
#include "base/file.h"
#include "base/net_counters.h"
#include "base/status.h"

namespace davit {
namespace {

class CountersTest : public testing::Test {
 protected:
  CountersTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "davit-counters-XXXXXX").string();
    dir_ = mkdtemp(pattern.data()) == nullptr ? "" : pattern;
  }
  ~CountersTest() override { EXPECT_TRUE(RemoveTree(dir_).ok()); }

  void Write(const std::string& name, const std::string& text) {
    const std::string path = JoinPath(dir_, name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }

  std::string dir_;
};

TEST_F(CountersTest, DetailsOfV2) {
  Write("pod/c/cgroup.procs", "");
  Write("pod/c/cpu.stat",
        "usage_usec 10\nuser_usec 7\nsystem_usec 3\nnr_periods 5\nnr_throttled 2\n"
        "throttled_usec 9\n");
  Write("pod/c/memory.stat", "anon 1\nfile 4096\nfile_mapped 8\nkernel 16\n");
  Write("pod/c/memory.peak", "12345\n");
  Write("pod/c/memory.low", "0\n");
  Write("pod/c/memory.events", "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\n");
  Write("pod/c/io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n");
  Write("pod/c/pids.max", "100\n");
  Write("pod/c/cpu.pressure",
        "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 "
        "total=5\n");
  const CgroupFs fs = CgroupFs::ForTest(CgroupMode::kV2, {{"", dir_}});
  const auto details = ReadCgroupDetails(fs, "/pod/c");
  ASSERT_TRUE(details.ok()) << details.status();
  EXPECT_EQ(details->cpu_user_ns, 7000U);
  EXPECT_EQ(details->cpu_system_ns, 3000U);
  EXPECT_EQ(details->cpu_throttled_periods, 2U);
  EXPECT_EQ(details->cpu_throttled_ns, 9000U);
  EXPECT_EQ(details->memory_cache, 4096U);
  EXPECT_EQ(details->memory_mapped_file, 8U);
  EXPECT_EQ(details->memory_kernel, 16U);
  EXPECT_EQ(details->memory_max_usage, 12345U);
  EXPECT_EQ(details->memory_limit_hits, 4U);
  EXPECT_EQ(details->oom_kills, 1U);
  EXPECT_EQ(details->pids_limit, std::optional<uint64_t>(100));
  ASSERT_EQ(details->block_devices.size(), 1U);
  EXPECT_EQ(details->block_devices[0].write_bytes, 2U);
  const CgroupPressure pressure = ReadCgroupPressure(fs, "/pod/c");
  ASSERT_TRUE(pressure.cpu.has_value());
  EXPECT_EQ(pressure.cpu->some.avg10, 1.5);
  EXPECT_EQ(pressure.cpu->some.avg60, 0.25);
  EXPECT_EQ(pressure.cpu->some.total_us, 77U);
  EXPECT_EQ(pressure.cpu->full.total_us, 5U);
  EXPECT_FALSE(pressure.memory.has_value());
  EXPECT_TRUE(absl::IsNotFound(ReadCgroupDetails(fs, "/pod/gone").status()));
}

TEST_F(CountersTest, DetailsOfV1) {
  Write("cpu/p/cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 9\n");
  Write("cpu/p/cgroup.procs", "");
  Write("cpuacct/p/cpuacct.stat", "user 2\nsystem 1\n");
  Write("memory/p/memory.stat",
        "cache 1\npgfault 3\npgmajfault 1\ntotal_cache 11\ntotal_mapped_file 12\n");
  Write("memory/p/memory.failcnt", "6\n");
  Write("memory/p/memory.soft_limit_in_bytes", "9223372036854771712\n");
  Write("memory/p/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  Write("pids/p/pids.max", "max\n");
  const CgroupFs fs = CgroupFs::ForTest(CgroupMode::kV1, {{"cpu", dir_ + "/cpu"},
                                                          {"cpuacct", dir_ + "/cpuacct"},
                                                          {"memory", dir_ + "/memory"},
                                                          {"pids", dir_ + "/pids"}});
  const auto details = ReadCgroupDetails(fs, "/p");
  ASSERT_TRUE(details.ok()) << details.status();
  const auto tick = uint64_t{1'000'000'000} / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  EXPECT_EQ(details->cpu_user_ns, 2 * tick);
  EXPECT_EQ(details->memory_cache, 11U);
  EXPECT_EQ(details->own_page_faults, std::optional<uint64_t>(3));
  EXPECT_EQ(details->memory_limit_hits, 6U);
  EXPECT_EQ(details->memory_soft_limit, 0U);
  EXPECT_EQ(details->oom_kills, 2U);
  EXPECT_FALSE(details->pids_limit.has_value());
  EXPECT_FALSE(ReadCgroupPressure(fs, "/p").cpu.has_value());
}

TEST(ParseBlkio, JoinsBytesAndOperations) {
  const auto devices =
      internal::ParseBlkio("8:0 Read 10\n8:0 Write 20\n8:0 Sync 1\n8:16 Read 5\nTotal 35\n",
                           "8:0 Read 1\n8:0 Write 2\n");
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[0].read_bytes, 10U);
  EXPECT_EQ(devices[0].write_bytes, 20U);
  EXPECT_EQ(devices[0].reads, 1U);
  EXPECT_EQ(devices[0].writes, 2U);
  EXPECT_EQ(devices[1].minor, 16U);
  EXPECT_EQ(devices[1].read_bytes, 5U);
}

TEST(ParseNetDev, LeavesLoopbackOut) {
  const auto interfaces = internal::ParseNetDev(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
      "drop "
      "fifo colls carrier compressed\n"
      "    lo:     100       1    0    0    0     0          0         0      100       1    0    "
      "0 "
      "   0     0       0          0\n"
      "  eth0:    1296      16    1    2    0     0          0         0     1026      13    3    "
      "4 "
      "   0     0       0          0\n");
  ASSERT_EQ(interfaces.size(), 1U);
  EXPECT_EQ(interfaces[0].name, "eth0");
  EXPECT_EQ(interfaces[0].rx_bytes, 1296U);
  EXPECT_EQ(interfaces[0].rx_packets, 16U);
  EXPECT_EQ(interfaces[0].rx_errors, 1U);
  EXPECT_EQ(interfaces[0].rx_dropped, 2U);
  EXPECT_EQ(interfaces[0].tx_bytes, 1026U);
  EXPECT_EQ(interfaces[0].tx_dropped, 4U);
}

TEST(ReadNetCounters, OfANamespaceThatIsGone) {
  const auto all = ReadNetCounters({"/proc/self/ns/net-gone"});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_TRUE(all[0].interfaces.empty());
}

}  // namespace
}  // namespace davit
