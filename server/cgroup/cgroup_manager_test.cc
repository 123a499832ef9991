// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/cgroup_manager.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

namespace davit::server {
namespace {

TEST(CgroupManager, PodCgroupFollowsTheRequestElseTheDefault) {
  const CgroupFs fs = CgroupFs::ForTest(CgroupMode::kV2, {{"", "/nonexistent"}});
  const auto manager = CgroupManager::Create("cgroupfs", fs);
  ASSERT_TRUE(manager.ok()) << manager.status();
  const std::map<std::string, std::string> cases = {
      {"", "/davit/podabc"},
      {"/kubepods/burstable/pod1", "/kubepods/burstable/pod1"},
      {"kubepods//pod1/", "/kubepods/pod1"},
      {"/a..b/c", "/a..b/c"},
  };
  for (const auto& [requested, expected] : cases) {
    const auto got = (*manager)->PodCgroup(requested, "/davit", "abc");
    ASSERT_TRUE(got.ok()) << requested << ": " << got.status();
    EXPECT_EQ(*got, expected);
    EXPECT_EQ((*manager)->ContainerCgroup(*got, "c1"), expected + "/c1");
  }
  for (const std::string bad : {"/", "/../host", "/a/./b", "/a\nb", "///"}) {
    EXPECT_TRUE(absl::IsInvalidArgument((*manager)->PodCgroup(bad, "/davit", "abc").status()))
        << bad;
  }
}

TEST(CgroupManager, SystemdIsRefusedWithARemedy) {
  const CgroupFs fs = CgroupFs::ForTest(CgroupMode::kV2, {{"", "/nonexistent"}});
  const auto systemd = CgroupManager::Create("systemd", fs);
  EXPECT_TRUE(absl::IsFailedPrecondition(systemd.status()));
  EXPECT_NE(std::string(systemd.status().message()).find("cgroupfs"), std::string::npos);
  EXPECT_TRUE(absl::IsInvalidArgument(CgroupManager::Create("other", fs).status()));
}

}  // namespace
}  // namespace davit::server
