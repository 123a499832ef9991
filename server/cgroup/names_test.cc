// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/names.h"

#include <gtest/gtest.h>

namespace davit::server {
namespace {

TEST(CgroupNames, SlicesStandWithinEachOther) {
  EXPECT_EQ(SlicePath("a.slice").value_or(""), "/a.slice");
  EXPECT_EQ(SlicePath("kubepods-burstable-pod1_2.slice").value_or(""),
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice");
  for (const std::string bad : {"", ".slice", "-.slice", "a-.slice", "-a.slice", "a--b.slice",
                                "a/b.slice", "a b.slice", "a\n.slice", "a.scope", "a"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SlicePath(bad).status())) << bad;
  }
  EXPECT_FALSE(SlicePath(std::string(256, 'a') + ".slice").ok());
}

TEST(CgroupNames, PathsBecomeSlicesAsTheKubeletsDo) {
  EXPECT_EQ(SliceFor("/davit").value_or(""), "davit.slice");
  EXPECT_EQ(SliceFor("/a/b-c").value_or(""), "a-b_c.slice");
  EXPECT_EQ(SliceFor("/davit.slice").value_or(""), "davit.slice");
  EXPECT_FALSE(SliceFor("/").ok());
}

TEST(CgroupNames, Units) {
  EXPECT_TRUE(IsSlice("/a.slice/a-b.slice"));
  EXPECT_FALSE(IsSlice("/a.slice/b"));
  EXPECT_TRUE(IsScope("/a.slice/b.scope"));
  EXPECT_EQ(UnitOf("/a.slice/b.scope"), "b.scope");
  EXPECT_EQ(UnitOf("b.scope"), "b.scope");
}

}  // namespace
}  // namespace davit::server
