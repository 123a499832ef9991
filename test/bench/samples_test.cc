// SPDX-License-Identifier: Apache-2.0
#include "test/bench/samples.h"

#include <gtest/gtest.h>

namespace davit::bench {
namespace {

TEST(Samples, SummarizesByNearestRank) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) {
    values.push_back(i);
  }
  const Summary summary = Summarize(values);
  EXPECT_EQ(summary.count, 100U);
  EXPECT_DOUBLE_EQ(summary.min, 1);
  EXPECT_DOUBLE_EQ(summary.p50, 50);
  EXPECT_DOUBLE_EQ(summary.p99, 99);
}

TEST(Samples, SummarizesOneAndNone) {
  EXPECT_DOUBLE_EQ(Summarize({7}).p50, 7);
  EXPECT_DOUBLE_EQ(Summarize({7}).p99, 7);
  EXPECT_EQ(Summarize({}).count, 0U);
}

TEST(Samples, KeepsTheOrderOfNamesWhenMerged) {
  Samples first;
  first.Add("b", 1);
  first.Add("a", 2);
  Samples second;
  second.Add("a", 3);
  second.Add("c", 4.5);
  first.Merge(second);
  EXPECT_EQ(first.Json(), "{\"b\": [1.000], \"a\": [2.000, 3.000], \"c\": [4.500]}");
}

}  // namespace
}  // namespace davit::bench
