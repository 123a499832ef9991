// SPDX-License-Identifier: Apache-2.0
//
// What OCI runtimes see of the node's mounts (server/oci/runtime_mounts.h), and that a container
// cannot tell.

#include <sys/mount.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/mount.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

constexpr char kSleep[] = "exec sleep 1000000";

class LeanMounts : public E2eTest, public testing::WithParamInterface<const char*> {
 protected:
  // The runtime, which first writes down what it sees of the daemon's run directory.
  TestDaemon::Options DaemonOptions() override {
    const std::string runtime = Must(FindProgram(GetParam()));
    const std::string script = daemon().dir() + "/spy";
    Must(WriteFileAtomic(script,
                         "#!/bin/sh\nfor word; do case $word in run|exec|update|delete)\n"
                         "  grep -o ' " +
                             daemon().run() + "/[^ ]*' /proc/self/mountinfo > " + daemon().dir() +
                             "/seen-$word ;; esac; done\nexec " + runtime + " \"$@\"\n",
                         0755));
    return {.drop_in = fmt::format("runtime:\n  default_handler: spied\n  lean_mounts_from: {}\n"
                                   "  handlers:\n    spied: {{path: {}}}\n",
                                   from_, script),
            .failpoints = {}};
  }
  void SetUp() override {
    if (!FindProgram(GetParam()).ok()) {
      GTEST_SKIP() << GetParam() << " is not installed";
    }
    E2eTest::SetUp();
    if (!IsSkipped()) {
      Pull("busybox");
      MakeVolume();
    }
  }
  void TearDown() override {
    if (!volume_.empty()) {
      EXPECT_EQ(UnmountAllBelow(volume_), absl::OkStatus());
    }
    E2eTest::TearDown();
  }

  // A file system that is mounted after the daemon has started, shared as those of systemd are.
  void MakeVolume() {
    volume_ = daemon().dir() + "/volume";
    Must(MakeDirs(volume_));
    Must(MountTmpfs(volume_, 1U << 20U, 0755));
    ASSERT_EQ(mount(nullptr, volume_.c_str(), nullptr, MS_SHARED, nullptr), 0);
    for (const char* name : {"/below", "/later", "/out"}) {
      Must(MakeDirs(volume_ + name));
    }
    Must(MountTmpfs(volume_ + "/below", 1U << 20U, 0755));
    Must(WriteFileAtomic(volume_ + "/below/file", "below\n"));
  }
  Pod RunPrivileged() {
    auto config = PodConfig("pod");
    config.mutable_linux()->mutable_security_context()->set_privileged(true);
    return RunPod(config);
  }
  v1::ContainerConfig WithVolume(const std::string& source, v1::MountPropagation propagation) {
    auto config = ShellContainer("main", kSleep);
    auto& mount = *config.add_mounts();
    mount.set_host_path(source);
    mount.set_container_path("/volume");
    mount.set_propagation(propagation);
    return config;
  }
  // What a call of the runtime saw: paths below the run directory.
  std::vector<std::string> Seen(const std::string& call) {
    std::vector<std::string> paths;
    for (const std::string& line : Split(Must(ReadFile(daemon().dir() + "/seen-" + call)), '\n')) {
      if (!line.empty()) {
        paths.push_back(line.substr(daemon().run().size() + 2));
      }
    }
    return paths;
  }
  // Those of them that are neither the container's nor its pod's.
  size_t OfOthers(const std::string& call, const Pod& pod, const std::string& container) {
    const auto seen = Seen(call);
    return static_cast<size_t>(std::count_if(seen.begin(), seen.end(), [&](const auto& path) {
      return !path.starts_with("sandboxes/" + pod.id) &&
             !path.starts_with("containers/" + container);
    }));
  }

  int from_ = 0;
  std::string volume_;
};

TEST_P(LeanMounts, TheRuntimeSeesThoseOfItsPodOnly) {
  const Pod other = RunPod("other");
  const std::string neighbour = Run(other, ShellContainer("main", kSleep));
  const Pod pod = RunPod("pod");
  const std::string id = Run(pod, ShellContainer("main", kSleep));
  EXPECT_EQ(OfOthers("run", pod, id), 0U) << testing::PrintToString(Seen("run"));
  EXPECT_GE(Seen("run").size(), 4U) << "root file system, shm, namespaces";
  EXPECT_EQ(ShellIn(id, "echo up"), "up\n");
  EXPECT_TRUE(Seen("exec").empty()) << testing::PrintToString(Seen("exec"));
  v1::UpdateContainerResourcesRequest update;
  update.set_container_id(id);
  update.mutable_linux()->set_cpu_shares(500);
  EXPECT_TRUE(client().UpdateContainerResources(update).ok());
  EXPECT_TRUE(Seen("update").empty()) << testing::PrintToString(Seen("update"));
  EXPECT_FALSE(Must(MountsBelow(daemon().run() + "/containers/" + neighbour)).empty())
      << "the node's own are as they were";
}

TEST_P(LeanMounts, TheNamespaceOfAStartIsGoneAfterIt) {
  const Pod pod = RunPod("pod");
  RememberDescriptors();  // the daemon's are compared at the end
  const std::string id = Run(pod, ShellContainer("main", kSleep));
  const auto monitor = Must(ReadFile(daemon().run() + "/containers/" + id + "/pid"));
  const auto parent = Must(ReadFile("/proc/" + std::string(Trim(monitor)) + "/stat"));
  const std::string monitor_pid = Words(parent.substr(parent.rfind(')') + 2))[1];
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + monitor_pid + "/fd")) {
    EXPECT_FALSE(std::filesystem::read_symlink(entry.path()).string().starts_with("mnt:"));
  }
}

TEST_P(LeanMounts, VolumesThatWereMountedLaterAreThereWithAllBelow) {
  const Pod pod = RunPod("pod");
  const std::string id = Run(pod, WithVolume(volume_, v1::PROPAGATION_PRIVATE));
  EXPECT_EQ(OfOthers("run", pod, id), 0U);
  EXPECT_EQ(ShellIn(id, "cat /volume/below/file"), "below\n");
  EXPECT_EQ(ShellIn(id, "echo x > /volume/made"), "");
  EXPECT_EQ(Must(ReadFile(volume_ + "/made")), "x\n");
  Must(MountTmpfs(volume_ + "/later", 1U << 20U, 0755));
  EXPECT_EQ(ShellIn(id, "grep -c /volume/later /proc/mounts || true"), "0\n");
}

TEST_P(LeanMounts, NestedVolumesAreOneTree) {
  const Pod pod = RunPrivileged();
  auto config = WithVolume(volume_, v1::PROPAGATION_BIDIRECTIONAL);
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  auto& inner = *config.add_mounts();
  inner.set_host_path(volume_ + "/below");
  inner.set_container_path("/inner");
  const size_t before = Must(ListMounts()).size();
  const std::string id = Run(pod, config);
  EXPECT_EQ(ShellIn(id, "cat /inner/file /volume/below/file"), "below\nbelow\n");
  EXPECT_EQ(Must(ListMounts()).size(), before + 1) << "the root file system";
}

TEST_P(LeanMounts, MountsPropagateBothWays) {
  const Pod pod = RunPrivileged();
  auto config = WithVolume(volume_, v1::PROPAGATION_BIDIRECTIONAL);
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  auto receiver = WithVolume(volume_, v1::PROPAGATION_HOST_TO_CONTAINER);
  receiver.mutable_metadata()->set_name("receiver");
  const std::string id = Run(pod, config);
  const std::string second = Run(pod, receiver);
  EXPECT_EQ(OfOthers("run", pod, second), 0U);
  Must(MountTmpfs(volume_ + "/later", 1U << 20U, 0755));
  Must(WriteFileAtomic(volume_ + "/later/file", "later\n"));
  EXPECT_EQ(ShellIn(id, "cat /volume/later/file"), "later\n");
  EXPECT_EQ(ShellIn(second, "cat /volume/later/file"), "later\n");
  ShellIn(id, "mount -t tmpfs none /volume/out && echo of the container > /volume/out/file");
  EXPECT_EQ(Must(ReadFile(volume_ + "/out/file")), "of the container\n");
  EXPECT_EQ(ShellIn(second, "cat /volume/out/file"), "of the container\n");
}

TEST_P(LeanMounts, AVolumeThatHoldsTheRunDirectoryIsMountedFromTheNode) {
  const Pod pod = RunPod("pod");
  const std::string id = Run(pod, WithVolume(daemon().dir(), v1::PROPAGATION_PRIVATE));
  EXPECT_EQ(ShellIn(id, "cat /volume/volume/below/file"), "below\n");
  EXPECT_EQ(ShellIn(id, "ls /volume/run/containers"), id + "\n");
}

TEST_P(LeanMounts, HooksSeeTheNodesOwn) {
  const std::string hooks = daemon().dir() + "/hooks.d";
  const std::string script = daemon().dir() + "/hook";
  Must(MakeDirs(hooks));
  Must(WriteFileAtomic(script,
                       "#!/bin/sh\ncat > /dev/null\ngrep -o ' " + daemon().run() +
                           "/[^ ]*' /proc/self/mountinfo > " + daemon().dir() + "/seen-$1\n",
                       0755));
  for (const std::string stage : {"createRuntime", "poststop"}) {
    Must(WriteFileAtomic(hooks + "/" + stage + ".json",
                         R"({"version": "1.0.0", "when": {"always": true}, "hook": {"path": ")" +
                             script + R"(", "args": ["hook", ")" + stage + R"("]}, "stages": [")" +
                             stage + R"("]})"));
  }
  auto options = DaemonOptions();
  options.drop_in += "  hooks_dirs: [" + hooks + "]\n";
  RestartDaemon(options);
  const Pod other = RunPod("other");
  Run(other, ShellContainer("main", kSleep));
  const Pod pod = RunPod("pod");
  const std::string id = Run(pod, ShellContainer("main", kSleep));
  EXPECT_GT(OfOthers("createRuntime", pod, id), 0U);
  Must(StopContainer(id, 0));
  RemoveContainer(id);
  EXPECT_GT(OfOthers("poststop", pod, id), 0U);
}

TEST_P(LeanMounts, WithFewPodsTheNodesOwnAreUsed) {
  from_ = 2;
  RestartDaemon(DaemonOptions());
  const Pod pod = RunPod("pod");
  Run(pod, ShellContainer("first", kSleep));
  const std::string beside = Run(pod, ShellContainer("second", kSleep));
  EXPECT_EQ(OfOthers("run", pod, beside), 1U) << "the root file system of the first";
  const Pod second = RunPod("second");
  const std::string id = Run(second, ShellContainer("main", kSleep));
  EXPECT_EQ(OfOthers("run", second, id), 0U);
}

INSTANTIATE_TEST_SUITE_P(Runtimes, LeanMounts, testing::Values("crun", "runc"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace davit::e2e
