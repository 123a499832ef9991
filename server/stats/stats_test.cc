// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "server/chunks.h"
#include "server/stats/cpu_rates.h"
#include "server/stats/metric_table.h"
#include "server/stats/process_counts.h"

namespace davit::server {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(CpuRates, AreTakenOverASecondAtLeast) {
  CpuRates rates;
  EXPECT_FALSE(rates.Observe("a", 10 * kSecond, 1000).has_value());
  EXPECT_FALSE(rates.Observe("a", 10 * kSecond + 1, 2000).has_value());
  EXPECT_EQ(rates.Observe("a", 12 * kSecond, 1000 + kSecond), std::optional<uint64_t>(kSecond / 2));
  EXPECT_EQ(rates.Observe("a", 12 * kSecond + 1, 5 * kSecond),
            std::optional<uint64_t>(kSecond / 2));
  EXPECT_EQ(rates.Observe("a", 14 * kSecond, 0), std::optional<uint64_t>(0)) << "a new cgroup";
  EXPECT_FALSE(rates.Observe("b", 14 * kSecond, 0).has_value());
  rates.Forget("a");
  EXPECT_FALSE(rates.Observe("a", 20 * kSecond, 1).has_value());
}

TEST(MetricTable, NamesEachMetricOnce) {
  std::set<std::string> names;
  for (int i = 0; i < static_cast<int>(Metric::kCount); ++i) {
    const MetricKind& kind = KindOf(static_cast<Metric>(i));
    EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
    EXPECT_STRNE(kind.help, "") << kind.name;
    const std::string name = kind.name;
    const bool counter = (name.ends_with("_total") && name != "container_fs_inodes_total") ||
                         name == "container_memory_failcnt";
    EXPECT_EQ(kind.type == runtime::v1::COUNTER, counter) << kind.name;
  }
  EXPECT_EQ(std::string(KindOf(Metric::kPressureIoWaiting).name),
            "container_pressure_io_waiting_seconds_total");
  EXPECT_EQ(std::string(KindOf(Metric::kNetTxErrors).name),
            "container_network_transmit_errors_total");
  EXPECT_EQ(std::string(KindOf(Metric::kStartTime).name), "container_start_time_seconds");
}

TEST(MetricWriter, PutsCommonLabelsFirst) {
  const MetricLabels labels{.cgroup = "/pod/c",
                            .id = "id",
                            .image = "image",
                            .container = "web",
                            .pod = "pod",
                            .name_space = "ns"};
  MetricWriter::List list;
  MetricWriter(labels, 7, list).Add(Metric::kNetRxBytes, 42, {"eth0"});
  ASSERT_EQ(list.size(), 1);
  EXPECT_EQ(list[0].value().value(), 42U);
  EXPECT_EQ(list[0].timestamp(), 7);
  EXPECT_EQ(list[0].label_values_size(),
            static_cast<int>(CommonLabels().size() + KindOf(Metric::kNetRxBytes).labels.size()));
  EXPECT_EQ(list[0].label_values(0), "/pod/c");
  EXPECT_EQ(list[0].label_values(6), "eth0");
}

TEST(ProcessCounts, SeeSocketsAmongDescriptors) {
  const ProcessCounts before = CountOpen({getpid()});
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const ProcessCounts after = CountOpen({getpid(), -1});
  EXPECT_EQ(after.descriptors, before.descriptors + 2);
  EXPECT_EQ(after.sockets, before.sockets + 1);
  EXPECT_FALSE(OpenFilesLimit(0).has_value());
}

TEST(Chunks, WalkPassesOverAndEnds) {
  std::vector<std::shared_ptr<const int>> objects;
  for (int i = 0; i < 5; ++i) {
    objects.push_back(std::make_shared<const int>(i));
  }
  const auto fill = WalkObjects<std::vector<int>, const int>(
      objects, [](std::vector<int>& piece, const int& value) -> size_t {
        if (value % 2 == 0) {
          return 0;
        }
        piece.push_back(value);
        return 1;
      });
  std::vector<int> piece;
  EXPECT_EQ(fill(piece), 1U);
  EXPECT_EQ(fill(piece), 1U);
  EXPECT_EQ(fill(piece), 0U);
  EXPECT_EQ(piece, std::vector<int>({1, 3}));
}

}  // namespace
}  // namespace davit::server
