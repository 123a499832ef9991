// SPDX-License-Identifier: Apache-2.0
#include "base/cpus.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/test_util.h"

namespace davit {
namespace {

TEST(Cpus, Lists) {
  const auto list = [](const char* text) {
    const auto cpus = ParseCpuList(text);
    EXPECT_OK(cpus);
    return cpus.value_or(CpuSet{-1});
  };
  EXPECT_EQ(list(""), CpuSet());
  EXPECT_EQ(list("\n"), CpuSet());
  EXPECT_EQ(list("0\n"), CpuSet{0});
  EXPECT_EQ(list("0-2,7"), (CpuSet{0, 1, 2, 7}));
  EXPECT_EQ(list("7,2,0-1,1"), (CpuSet{0, 1, 2, 7}));
  EXPECT_EQ(list("8191"), CpuSet{8191});
  for (const char* wrong : {"a", "1-", "-1", "2-1", "1,,2", "0x1", "1 2", "8192", "0-99999999999",
                            "18446744073709551616"}) {
    EXPECT_EQ(ParseCpuList(wrong).status().code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
}

TEST(Cpus, TextsOfLists) {
  EXPECT_EQ(CpuListText({}), "");
  EXPECT_EQ(CpuListText({3}), "3");
  EXPECT_EQ(CpuListText({0, 1}), "0-1");
  EXPECT_EQ(CpuListText({0, 1, 2, 7, 9, 10}), "0-2,7,9-10");
}

TEST(Cpus, MasksOfTheKernel) {
  const auto mask = [](const char* text) { return ParseCpuMask(text).value_or(CpuSet{-1}); };
  EXPECT_EQ(mask("3\n"), (CpuSet{0, 1}));
  EXPECT_EQ(mask("0"), CpuSet());
  EXPECT_EQ(mask("5,00000002"), (CpuSet{1, 32, 34}));
  EXPECT_EQ(mask("00000000,0000ff00"), (CpuSet{8, 9, 10, 11, 12, 13, 14, 15}));
  for (const char* wrong : {"", "g", "0x3", "1,", "1ffffffff", "-1", "3 4"}) {
    EXPECT_EQ(ParseCpuMask(wrong).status().code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
  EXPECT_EQ(CpuMaskText({}), "0");
  EXPECT_EQ(CpuMaskText({0, 1}), "3");
  EXPECT_EQ(CpuMaskText({1, 32, 34}), "5,00000002");
  EXPECT_EQ(CpuMaskText({64}), "1,00000000,00000000");
}

TEST(Cpus, Masks) {
  EXPECT_TRUE(AffinityMask({}).empty());
  EXPECT_EQ(AffinityMask({0, 2}), std::vector<unsigned long>{5});
  EXPECT_EQ(AffinityMask({1, 65}), (std::vector<unsigned long>{2, 2}));
}

TEST(Cpus, AffinityOfAProcess) {
  const auto own = GetAffinity(0);
  ASSERT_OK(own);
  ASSERT_FALSE(own->empty());
  const int cpu = *own->rbegin();
  const pid_t child = fork();
  if (child == 0) {
    const auto now = SetAffinity(0, {cpu}).ok() ? GetAffinity(0) : CpuSet();
    _exit(now.ok() && *now == CpuSet{cpu} ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(GetAffinity(0).value_or(CpuSet()), *own);
  EXPECT_TRUE(absl::IsNotFound(SetAffinity(child, {cpu})));
  EXPECT_TRUE(absl::IsNotFound(GetAffinity(child).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(SetAffinity(0, {})));
}

}  // namespace
}  // namespace davit
