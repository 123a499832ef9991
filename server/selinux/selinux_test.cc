// SPDX-License-Identifier: Apache-2.0
//
// Labels on a machine that is a directory: the tests need no SELinux. Those of files set the
// attribute that labels are kept in, which only root may.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "server/selinux/label.h"
#include "server/selinux/labeller.h"
#include "server/selinux/relabel.h"

namespace davit::server::selinux {
namespace {

namespace v1 = runtime::v1;

class Machine : public testing::Test {
 protected:
  Machine() {
    std::string pattern = "/tmp/davit-selinux-XXXXXX";
    dir_ = mkdtemp(pattern.data()) == nullptr ? "" : pattern;
    Write("sys/fs/selinux/enforce", "1");
    Write("sys/fs/selinux/context", "");
    Write("etc/selinux/config", "# comment\nSELINUX=enforcing\nSELINUXTYPE = targeted\n");
    Write("etc/selinux/targeted/contexts/lxc_contexts",
          "process = \"system_u:system_r:container_t:s0\"\n"
          "file = \"system_u:object_r:container_file_t:s0\"\n"
          "ro_file=\"system_u:object_r:container_ro_file_t:s0\"\n"
          "kvm_process = \"system_u:system_r:container_kvm_t:s0\"\n");
  }
  ~Machine() override { EXPECT_TRUE(RemoveTree(dir_).ok()); }

  void Write(const std::string& name, const std::string& text) const {
    const std::string path = dir_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    EXPECT_TRUE(WriteFileAtomic(path, text).ok());
  }
  [[nodiscard]] Roots MachineRoots() const { return {.sys = dir_ + "/sys", .etc = dir_ + "/etc"}; }
  std::unique_ptr<Labeller> Make(const Labeller::Settings& settings = {}) {
    auto labeller = Labeller::Create(MachineRoots(), settings);
    EXPECT_TRUE(labeller.ok()) << labeller.status();
    return labeller.ok() ? *std::move(labeller) : nullptr;
  }
  Labels Of(const Labeller& labeller, bool is_vm = false) {
    const auto labels = labeller.OfContainer(pod_, container_, "s0:c1,c2", is_vm);
    EXPECT_TRUE(labels.ok()) << labels.status();
    return labels.value_or(Labels());
  }
  v1::LinuxContainerSecurityContext& Context() {
    return *container_.mutable_linux()->mutable_security_context();
  }
  v1::LinuxSandboxSecurityContext& PodContext() {
    return *pod_.mutable_linux()->mutable_security_context();
  }

  std::string dir_;
  v1::PodSandboxConfig pod_;
  v1::ContainerConfig container_;
};

TEST(Label, IsReadAndWritten) {
  const auto label = ParseLabel("system_u:system_r:container_t:s0-s0:c0.c1023");
  ASSERT_TRUE(label.ok()) << label.status();
  EXPECT_EQ(label->type, "container_t");
  EXPECT_EQ(label->level, "s0-s0:c0.c1023");
  EXPECT_EQ(LabelText(*label), "system_u:system_r:container_t:s0-s0:c0.c1023");
  EXPECT_EQ(LabelText(*ParseLabel("u:r:t")), "u:r:t");
  for (const char* text : {"", "u", "u:r", "u:r:", "::", "u:r:t t", "u:r:t:s0\n", "u:r,:t:s0"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseLabel(text).status())) << text;
  }
}

TEST_F(Machine, WithoutSelinuxNothingIsLabelled) {
  std::filesystem::remove_all(dir_ + "/sys/fs/selinux");
  EXPECT_TRUE(absl::IsNotFound(Labeller::Create(MachineRoots(), {}).status()));
}

TEST_F(Machine, APolicyThatCannotBeReadIsAnError) {
  Write("etc/selinux/targeted/contexts/lxc_contexts", "process = \"nonsense\"\n");
  const absl::Status bad = Labeller::Create(MachineRoots(), {}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(bad)) << bad;
  EXPECT_NE(Message(bad).find("lxc_contexts: process"), std::string::npos) << bad;
  Write("etc/selinux/config", "SELINUXTYPE=../x\n");
  EXPECT_TRUE(absl::IsFailedPrecondition(Labeller::Create(MachineRoots(), {}).status()));
  std::filesystem::remove(dir_ + "/etc/selinux/config");
  EXPECT_TRUE(absl::IsFailedPrecondition(Labeller::Create(MachineRoots(), {}).status()));
}

TEST_F(Machine, AContainerHasThePodsLevel) {
  const auto labeller = Make();
  const Labels labels = Of(*labeller);
  EXPECT_EQ(labels.process, "system_u:system_r:container_t:s0:c1,c2");
  EXPECT_EQ(labels.init, "system_u:system_r:container_init_t:s0:c1,c2");
  EXPECT_EQ(labels.mount, "system_u:object_r:container_file_t:s0:c1,c2");
  EXPECT_TRUE(labels.confined);
  EXPECT_EQ(labeller->OfPod(pod_, "s0:c1,c2")->mount, labels.mount);
  EXPECT_EQ(Of(*labeller, /*is_vm=*/true).process, "system_u:system_r:container_kvm_t:s0:c1,c2");
  EXPECT_EQ(Of(*labeller, /*is_vm=*/true).init, "");
  EXPECT_EQ(labeller->ImageVolumeLabel(), "system_u:object_r:container_ro_file_t:s0");
}

TEST_F(Machine, OptionsOfTheContainerCountBeforeThePods) {
  const auto labeller = Make();
  PodContext().mutable_selinux_options()->set_type("pod_t");
  EXPECT_EQ(Of(*labeller).process, "system_u:system_r:pod_t:s0:c1,c2");
  EXPECT_EQ(Of(*labeller).init, "");
  auto& options = *Context().mutable_selinux_options();
  options.set_level("s0:c7,c8");
  EXPECT_EQ(Of(*labeller).process, "system_u:system_r:container_t:s0:c7,c8");
  EXPECT_EQ(Of(*labeller).mount, "system_u:object_r:container_file_t:s0:c7,c8");
  options.set_user("user_u");
  options.set_role("user_r");
  options.set_type("own_t");
  EXPECT_EQ(Of(*labeller).process, "user_u:user_r:own_t:s0:c7,c8");
  EXPECT_EQ(Of(*labeller).mount, "user_u:object_r:container_file_t:s0:c7,c8");
  options.set_type("own t");
  const absl::Status bad =
      labeller->OfContainer(pod_, container_, "s0:c1,c2", /*is_vm=*/false).status();
  EXPECT_TRUE(absl::IsInvalidArgument(bad)) << bad;
  EXPECT_NE(Message(bad).find("selinux_options.type"), std::string::npos) << bad;
}

TEST_F(Machine, WhatSharesWithTheHostIsNotConfined) {
  constexpr char kUnconfined[] = "system_u:system_r:spc_t:s0";
  const auto labeller = Make();
  Context().set_privileged(true);
  EXPECT_EQ(Of(*labeller).process, kUnconfined);
  EXPECT_FALSE(Of(*labeller).confined);
  EXPECT_EQ(Of(*labeller).mount, "system_u:object_r:container_file_t:s0:c1,c2");
  Context().mutable_selinux_options()->set_type("own_t");  // is asked for by name
  EXPECT_EQ(Of(*labeller).process, "system_u:system_r:own_t:s0:c1,c2");
  container_.Clear();
  Context().mutable_namespace_options()->set_pid(v1::NODE);
  EXPECT_EQ(Of(*labeller).process, kUnconfined);
  container_.Clear();
  PodContext().mutable_namespace_options()->set_ipc(v1::NODE);
  EXPECT_EQ(Of(*labeller).process, kUnconfined);
  pod_.Clear();
  PodContext().mutable_namespace_options()->set_network(v1::NODE);
  EXPECT_EQ(Of(*labeller).process, kUnconfined);
  EXPECT_EQ(Of(*Make({.confine_host_network = true})).process,
            "system_u:system_r:container_t:s0:c1,c2");
}

TEST_F(Machine, EachPodHasALevelOfItsOwn) {
  const auto labeller = Make({.category_range = 5});
  std::set<std::string> levels;
  for (int i = 0; i < 10; ++i) {
    const auto level = labeller->ReserveLevel(pod_);
    ASSERT_TRUE(level.ok()) << level.status();
    EXPECT_TRUE(levels.insert(*level).second) << *level;
  }
  const absl::Status full = labeller->ReserveLevel(pod_).status();
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  labeller->ReleaseLevel("s0:c1,c3");
  EXPECT_EQ(*labeller->ReserveLevel(pod_), "s0:c1,c3");
}

TEST_F(Machine, LevelsThatAreOnRecordOrAskedForAreNotGivenToOthers) {
  const auto labeller = Make({.category_range = 3});
  labeller->KeepLevel("s0:c2,c0");
  PodContext().mutable_selinux_options()->set_level("s0:c0,c1");
  EXPECT_EQ(*labeller->ReserveLevel(pod_), "s0:c0,c1");
  EXPECT_EQ(*labeller->ReserveLevel(pod_), "s0:c0,c1");  // two may ask for the same
  const v1::PodSandboxConfig other;
  EXPECT_EQ(*labeller->ReserveLevel(other), "s0:c1,c2");
  EXPECT_FALSE(labeller->ReserveLevel(other).ok());
  labeller->ReleaseLevel("s0:c0,c1");
  EXPECT_FALSE(labeller->ReserveLevel(other).ok());
  labeller->ReleaseLevel("s0:c0,c1");
  EXPECT_EQ(*labeller->ReserveLevel(other), "s0:c0,c1");
  labeller->ReleaseLevel("");
}

class RelabelTest : public Machine {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "only root sets labels";
    }
    Write("volume/a/b/file", "");
    Write("outside/file", "");
    ASSERT_EQ(symlink("../../outside", (dir_ + "/volume/a/link").c_str()), 0);
    if (lsetxattr((dir_ + "/outside").c_str(), "security.selinux", "old", 4, 0) != 0) {
      GTEST_SKIP() << "the file system has no labels: " << ErrnoText(errno);
    }
  }
  [[nodiscard]] std::string LabelOf(const std::string& name) const {
    std::array<char, 200> value = {};
    const ssize_t size =
        lgetxattr((dir_ + "/" + name).c_str(), "security.selinux", value.data(), value.size() - 1);
    return size < 0 ? "(none)" : std::string(value.data());
  }
  absl::Status Do(const std::string& path, Depth depth = Depth::kAlways) {
    const auto place = OpenHostPath(path);
    EXPECT_TRUE(place.ok()) << place.status();
    davit::Context ctx;
    return Relabel(ctx, *place, kLabel, depth);
  }

  const std::string kLabel = "system_u:object_r:container_file_t:s0:c1,c2";
};

TEST_F(RelabelTest, EverythingInAVolumeAndNothingElse) {
  const absl::Status done = Do(dir_ + "/volume");
  ASSERT_TRUE(done.ok()) << done;
  for (const char* name :
       {"volume", "volume/a", "volume/a/b", "volume/a/b/file", "volume/a/link"}) {
    EXPECT_EQ(LabelOf(name), kLabel) << name;
  }
  EXPECT_EQ(LabelOf("outside"), "old");
  EXPECT_EQ(LabelOf("outside/file"), "(none)");
  ASSERT_TRUE(Do(dir_ + "/outside/file").ok());
  EXPECT_EQ(LabelOf("outside/file"), kLabel);
}

TEST_F(RelabelTest, IsSkippedWhereTheVolumeHasTheLabel) {
  ASSERT_TRUE(SetLabel(dir_ + "/volume", kLabel).ok());
  ASSERT_TRUE(Do(dir_ + "/volume", Depth::kIfNeeded).ok());
  EXPECT_EQ(LabelOf("volume/a"), "(none)");
  ASSERT_TRUE(SetLabel(dir_ + "/volume", kLabel + "1").ok());
  ASSERT_TRUE(Do(dir_ + "/volume", Depth::kIfNeeded).ok());
  EXPECT_EQ(LabelOf("volume/a"), kLabel);
}

TEST_F(RelabelTest, TheMachinesDirectoriesAreRefused) {
  for (const char* path : {"/", "/usr", "/etc", "/bin", "/lib", "/var", "/var/lib", "/tmp", "/proc",
                           "/dev", "/root", "/home", "/usr/../etc"}) {
    const absl::Status refused = Do(path);
    EXPECT_TRUE(absl::IsInvalidArgument(refused)) << path << refused;
    EXPECT_NE(Message(refused).find("not relabelled"), std::string::npos) << refused;
  }
}

TEST_F(RelabelTest, EndsWithItsCaller) {
  const auto place = OpenHostPath(dir_ + "/volume");
  ASSERT_TRUE(place.ok());
  davit::Context ctx;
  ctx.Cancel();
  EXPECT_FALSE(Relabel(ctx, *place, kLabel, Depth::kAlways).ok());
}

}  // namespace
}  // namespace davit::server::selinux
