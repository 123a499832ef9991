// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/cgroup_manager.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "server/cgroup/managers.h"

namespace davit::server {
namespace {

const CgroupFs kNoFs = CgroupFs::ForTest(CgroupMode::kV2, {{"", "/nonexistent"}});

void ExpectParents(const CgroupManager& manager, const std::map<std::string, std::string>& cases,
                   const std::vector<std::string>& refused) {
  for (const auto& [requested, expected] : cases) {
    const auto got = manager.PodCgroup(requested, "/davit", "abc");
    ASSERT_TRUE(got.ok()) << requested << ": " << got.status();
    EXPECT_EQ(*got, expected);
  }
  for (const std::string& bad : refused) {
    EXPECT_TRUE(absl::IsInvalidArgument(manager.PodCgroup(bad, "/davit", "abc").status())) << bad;
  }
}

TEST(CgroupManager, CgroupfsFollowsTheRequestElseTheDefault) {
  const auto manager = CgroupManager::Create("cgroupfs", kNoFs);
  ASSERT_TRUE(manager.ok()) << manager.status();
  ExpectParents(**manager,
                {{"", "/davit/podabc"},
                 {"/kubepods/burstable/pod1", "/kubepods/burstable/pod1"},
                 {"kubepods//pod1/", "/kubepods/pod1"},
                 {"/a..b/c", "/a..b/c"}},
                {"/", "/../host", "/a/./b", "/a\nb", "///", "/kubepods.slice"});
  EXPECT_EQ((*manager)->ContainerCgroup("/davit/podabc", "c1"), "/davit/podabc/c1");
  EXPECT_EQ((*manager)->OwnCgroup("/davit/podabc", "infra", "abc"), "/davit/podabc/infra-abc");
  EXPECT_EQ((*manager)->OciPath("/davit/podabc/c1"), "/davit/podabc/c1");
  EXPECT_FALSE((*manager)->MadeBySystemd("/davit/podabc/c1"));
}

TEST(CgroupManager, SystemdTakesSlices) {
  const SystemdManager manager(kNoFs);
  const std::string pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice";
  ExpectParents(manager,
                {{"", "/davit.slice/davit-podabc.slice"},
                 {"kubepods-burstable-pod1.slice", pod},
                 {"/kubepods-burstable-pod1.slice", pod},
                 {pod, pod}},
                {"/kubepods/burstable/pod1", "/other.slice/kubepods-pod1.slice", "/a/b.slice",
                 "/../x.slice", "/-.slice", "/"});
}

TEST(CgroupManager, SystemdNamesScopes) {
  const SystemdManager manager(kNoFs);
  const std::string container = manager.ContainerCgroup("/a.slice/a-b.slice", "c1");
  EXPECT_EQ(container, "/a.slice/a-b.slice/davit-c1.scope");
  EXPECT_TRUE(manager.MadeBySystemd(container));
  EXPECT_EQ(manager.OciPath(container), "a-b.slice:davit:c1");
  EXPECT_EQ(manager.OwnCgroup("/a.slice", "infra", "abc"), "/a.slice/davit-infra-abc.scope");
}

// Pods outlive a change of the configuration.
TEST(CgroupManager, SystemdKeepsToThePathsThatItFinds) {
  const SystemdManager manager(kNoFs);
  const std::string container = manager.ContainerCgroup("/davit/podabc", "c1");
  EXPECT_EQ(container, "/davit/podabc/c1");
  EXPECT_FALSE(manager.MadeBySystemd(container));
  EXPECT_EQ(manager.OciPath(container), container);
}

TEST(CgroupManager, SystemdIsRefusedWithARemedyWhereItIsNotInit) {
  EXPECT_TRUE(absl::IsInvalidArgument(CgroupManager::Create("other", kNoFs).status()));
  if (PathExists("/run/systemd/system")) {
    GTEST_SKIP() << "systemd is the init system here";
  }
  const auto systemd = CgroupManager::Create("systemd", kNoFs);
  EXPECT_TRUE(absl::IsFailedPrecondition(systemd.status()));
  EXPECT_NE(std::string(systemd.status().message()).find("cgroupfs"), std::string::npos);
}

}  // namespace
}  // namespace davit::server
