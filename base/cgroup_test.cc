// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

#include "base/cgroup_moves.h"
#include "base/file.h"
#include "base/id.h"
#include "base/mount.h"
#include "base/subprocess.h"
#include "base/test_util.h"

namespace davit {
namespace {

using std::chrono::seconds;
using test::TempDir;

absl::StatusOr<CgroupFs> FromText(const std::string& mountinfo) {
  return CgroupFs::FromMounts(*ParseMountInfo(mountinfo));
}

TEST(CgroupDetect, TellsTheModes) {
  const std::string v1 =
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n"
      "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
      "35 31 0:30 / /var/elsewhere/memory rw - cgroup cgroup rw,memory\n";
  const auto only_v1 = FromText(v1);
  ASSERT_OK(only_v1);
  EXPECT_EQ(only_v1->mode(), CgroupMode::kV1);
  EXPECT_EQ(only_v1->controllers(), (std::vector<std::string>{"cpu", "cpuacct", "memory"}));
  EXPECT_EQ(only_v1->Dir("cpuacct", "/a/b"), "/sys/fs/cgroup/cpu,cpuacct/a/b");
  EXPECT_EQ(only_v1->Dir("memory", "/a"), "/sys/fs/cgroup/memory/a");
  EXPECT_EQ(only_v1->Dir("pids", "/a"), "");
  EXPECT_FALSE(only_v1->has("systemd"));
  const std::string v2 = "40 31 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(FromText(v1 + v2)->mode(), CgroupMode::kHybrid);
  const std::string named =
      "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
  EXPECT_EQ(FromText(named + v2)->mode(), CgroupMode::kV2) << "v1 holds no controller";
  EXPECT_EQ(FromText(v2)->Dir("memory", "/a"), "/sys/fs/cgroup/unified/a");
  EXPECT_EQ(FromText("1 0 0:1 / / rw - ext4 dev rw\n").status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CgroupModeName(CgroupMode::kHybrid), "hybrid");
}

TEST(CgroupDetect, RemovesWhereItHoldsNoController) {
  const TempDir dir;
  std::string mounts;
  for (const auto& [name, kind] :
       std::map<std::string, std::string>{{"memory", "cgroup cgroup rw,memory"},
                                          {"systemd", "cgroup cgroup rw,name=systemd"},
                                          {"unified", "cgroup2 cgroup2 rw"}}) {
    // The runtime makes the container's cgroup in every hierarchy and leaves the pod's.
    ASSERT_OK(MakeDirs(dir / (name + "/parent/pod/container")));
    mounts += "1 0 0:1 / " + dir / name + " rw - " + kind + "\n";
  }
  const auto fs = FromText(mounts);
  ASSERT_OK(fs);
  ASSERT_OK(fs->Remove("/parent/pod"));
  for (const char* name : {"memory", "systemd", "unified"}) {
    EXPECT_FALSE(PathExists(dir / (std::string(name) + "/parent/pod"))) << name;
    EXPECT_TRUE(PathExists(dir / (std::string(name) + "/parent"))) << name;
  }
}

TEST(CgroupDetect, ReadsThisHost) {
  const auto fs = CgroupFs::Detect();
  if (absl::IsFailedPrecondition(fs.status())) {
    GTEST_SKIP() << fs.status();
  }
  ASSERT_OK(fs);
  EXPECT_FALSE(fs->controllers().empty());
  for (const std::string& controller : fs->controllers()) {
    EXPECT_TRUE(fs->has(controller));
  }
}

// A tree of plain files, laid out as the kernel's.
class Fixture {
 public:
  void Add(const std::string& file, const std::string& text) const {
    const std::string path = dir_ / file;
    EXPECT_OK(MakeDirs(path.substr(0, path.rfind('/'))));
    EXPECT_OK(WriteFileAtomic(path, text));
  }
  [[nodiscard]] CgroupFs V1() const {
    return CgroupFs::ForTest(CgroupMode::kV1, {{"cpuacct", dir_ / "cpu"},
                                               {"cpu", dir_ / "cpu"},
                                               {"memory", dir_ / "memory"},
                                               {"pids", dir_ / "pids"},
                                               {"cpuset", dir_ / "cpuset"}});
  }
  [[nodiscard]] CgroupFs V2() const {
    return CgroupFs::ForTest(CgroupMode::kV2, {{"", dir_.path()}});
  }
  TempDir dir_;
};

TEST(CgroupStats, ReadsV1) {
  Fixture tree;
  tree.Add("cpu/pod/c/cpuacct.usage", "123456789\n");
  tree.Add("memory/pod/c/memory.usage_in_bytes", "1000000\n");
  tree.Add("memory/pod/c/memory.limit_in_bytes", "2000000\n");
  tree.Add("memory/pod/c/memory.memsw.usage_in_bytes", "1500000\n");
  tree.Add("memory/pod/c/memory.memsw.limit_in_bytes", "2500000\n");
  tree.Add("memory/pod/c/memory.stat",
           "cache 5\nrss 7\ninactive_file 1\ntotal_rss 300\ntotal_pgfault 11\n"
           "total_pgmajfault 12\ntotal_inactive_file 400000\nhierarchical_memory_limit x\n\nodd\n");
  tree.Add("pids/pod/c/pids.current", "4\n");
  const auto stats = ReadCgroupStats(tree.V1(), "/pod/c");
  ASSERT_OK(stats);
  EXPECT_GT(stats->timestamp_ns, 0);
  EXPECT_EQ(stats->cpu_usage_ns, 123456789U);
  EXPECT_EQ(stats->memory_usage, 1000000U);
  EXPECT_EQ(stats->memory_working_set, 600000U);
  EXPECT_EQ(stats->memory_rss, 300U);
  EXPECT_EQ(stats->memory_page_faults, 11U);
  EXPECT_EQ(stats->memory_major_page_faults, 12U);
  EXPECT_EQ(stats->memory_limit, 2000000U);
  EXPECT_EQ(stats->swap_usage, 500000U);
  EXPECT_EQ(stats->swap_limit, 500000U);
  EXPECT_EQ(stats->pids, 4U);
}

TEST(CgroupStats, UnlimitedAndAbsent) {
  Fixture tree;
  tree.Add("memory/c/memory.usage_in_bytes", "100\n");
  tree.Add("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
  tree.Add("memory/c/memory.stat", "total_inactive_file 400\n");
  const auto stats = ReadCgroupStats(tree.V1(), "/c");
  ASSERT_OK(stats);
  EXPECT_EQ(stats->memory_limit, std::nullopt);
  EXPECT_EQ(stats->memory_working_set, 0U) << "never below 0";
  EXPECT_EQ(stats->cpu_usage_ns, 0U);
  EXPECT_TRUE(absl::IsNotFound(ReadCgroupStats(tree.V1(), "/none").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadCgroupStats(tree.V1(), "/../c").status()));
}

TEST(CgroupStats, ReadsV2) {
  Fixture tree;
  tree.Add("cgroup.controllers", "cpu memory pids\n");
  tree.Add("c/cpu.stat", "usage_usec 77\nuser_usec 7\n");
  tree.Add("c/memory.current", "5000\n");
  tree.Add("c/memory.max", "max\n");
  tree.Add("c/memory.stat", "anon 10\ninactive_file 1000\npgfault 3\npgmajfault 2\n");
  tree.Add("c/memory.swap.current", "9\n");
  tree.Add("c/memory.swap.max", "99\n");
  tree.Add("c/pids.current", "2\n");
  const CgroupFs fs = tree.V2();
  EXPECT_TRUE(fs.has("memory"));
  EXPECT_FALSE(fs.has("io"));
  const auto stats = ReadCgroupStats(fs, "/c");
  ASSERT_OK(stats);
  EXPECT_EQ(stats->cpu_usage_ns, 77000U);
  EXPECT_EQ(stats->memory_working_set, 4000U);
  EXPECT_EQ(stats->memory_rss, 10U);
  EXPECT_EQ(stats->memory_limit, std::nullopt);
  EXPECT_EQ(stats->swap_usage, 9U);
  EXPECT_EQ(stats->swap_limit, 99U);
  EXPECT_EQ(stats->pids, 2U);
}

TEST(CgroupTree, CreatesInEveryHierarchyOnce) {
  Fixture tree;
  for (const char* hierarchy : {"cpu", "memory", "pids"}) {
    ASSERT_OK(MakeDirs(tree.dir_ / hierarchy));
  }
  tree.Add("cpuset/cpuset.cpus", "0-3\n");
  tree.Add("cpuset/cpuset.mems", "0\n");
  // The kernel makes these files with the directory; here they are there before.
  tree.Add("cpuset/pod/cpuset.cpus", "\n");
  tree.Add("cpuset/pod/cpuset.mems", "\n");
  const CgroupFs fs = tree.V1();
  const auto made = fs.Create("/pod/c");
  ASSERT_OK(made);
  EXPECT_TRUE(*made);
  for (const char* hierarchy : {"cpu", "memory", "pids", "cpuset"}) {
    EXPECT_TRUE(PathExists(tree.dir_ / (std::string(hierarchy) + "/pod/c"))) << hierarchy;
  }
  EXPECT_EQ(*ReadFile(tree.dir_ / "cpuset/pod/cpuset.cpus"), "0-3");
  EXPECT_EQ(*ReadFile(tree.dir_ / "cpuset/pod/cpuset.mems"), "0");
  EXPECT_FALSE(*fs.Create("/pod/c"));
  EXPECT_TRUE(fs.Exists("/pod/c"));
  EXPECT_FALSE(fs.Exists("/pod/d"));
}

TEST(CgroupTree, EnablesV2ControllersInTheParents) {
  Fixture tree;
  tree.Add("cgroup.controllers", "cpu memory\n");
  tree.Add("cgroup.subtree_control", "cpu memory\n");
  tree.Add("pod/cgroup.controllers", "memory\n");
  tree.Add("pod/cgroup.subtree_control", "\n");
  ASSERT_OK(tree.V2().Create("/pod/c"));
  EXPECT_EQ(*ReadFile(tree.dir_ / "pod/cgroup.subtree_control"), "+memory");
  EXPECT_EQ(*ReadFile(tree.dir_ / "cgroup.subtree_control"), "cpu memory\n") << "left as it was";
}

TEST(CgroupTree, AFailedCreateLeavesNothing) {
  Fixture tree;
  ASSERT_OK(MakeDirs(tree.dir_ / "cpu"));
  ASSERT_OK(MakeDirs(tree.dir_ / "memory"));
  tree.Add("pids", "a file, no hierarchy");
  EXPECT_FALSE(tree.V1().Create("/pod/c").ok());
  EXPECT_FALSE(PathExists(tree.dir_ / "cpu/pod"));
  EXPECT_FALSE(PathExists(tree.dir_ / "memory/pod"));
}

TEST(CgroupTree, HostilePathsAreRefused) {
  Fixture tree;
  const CgroupFs fs = tree.V1();
  for (const std::string& bad :
       {std::string(""), std::string("/"), std::string("a"), std::string("/../x"),
        std::string("/a/../../x"), std::string("//a"), std::string("/a/"), std::string("/a/./b"),
        std::string("/a\0b", 4)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(fs.Create(bad).status())) << bad;
    EXPECT_TRUE(absl::IsInvalidArgument(fs.Remove(bad))) << bad;
    EXPECT_TRUE(absl::IsInvalidArgument(fs.KillAll(bad))) << bad;
    EXPECT_TRUE(absl::IsInvalidArgument(fs.Pids(bad).status())) << bad;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(fs.Read("memory", "/a", "../x").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(fs.Write("memory", "/a", "", "1")));
  EXPECT_TRUE(absl::IsNotFound(fs.Read("blkio", "/a", "x").status()));
  EXPECT_TRUE(absl::IsNotFound(fs.Read("memory", "/a", "x").status()));
}

// In the real hierarchies of this host, under a name of its own.
class RealCgroup : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::IsRoot()) {
      GTEST_SKIP() << "making cgroups needs root";
    }
    auto fs = CgroupFs::Detect();
    if (!fs.ok()) {
      GTEST_SKIP() << fs.status();
    }
    fs_ = *std::move(fs);
    const auto made = fs_.Create(name_);
    if (!made.ok()) {
      GTEST_SKIP() << "no cgroup can be made here: " << made.status();
    }
    EXPECT_TRUE(*made);
  }
  void TearDown() override {
    if (fs_.Exists(name_)) {
      EXPECT_OK(fs_.KillAll(name_));
      for (const Process& process : started_) {
        Context ctx(seconds(10));
        (void)process.Wait(ctx);
      }
      EXPECT_OK(fs_.Remove(name_));
    }
    EXPECT_FALSE(fs_.Exists(name_));
  }
  [[nodiscard]] std::string ProcsFiles(const std::string& cgroup) const {
    if (fs_.mode() == CgroupMode::kV2) {
      return JoinPath(fs_.Dir("", cgroup), "cgroup.procs");
    }
    std::string files;
    for (const std::string& controller : fs_.controllers()) {
      files += JoinPath(fs_.Dir(controller, cgroup), "cgroup.procs") + "\n";
    }
    return files;
  }
  pid_t Start(const std::string& cgroup, const std::string& script = "exec sleep 1000") {
    SpawnOptions options = {.argv = {"/bin/sh", "-c", script}, .env = MinimalEnv()};
    options.cgroup_procs = ProcsFiles(cgroup);
    auto process = Spawn(options);
    EXPECT_OK(process);
    if (!process.ok()) {
      return -1;
    }
    started_.push_back(*std::move(process));
    return started_.back().pid();
  }

  const std::string name_ = "/davit-test-" + ShortId(NewId());
  CgroupFs fs_ = CgroupFs::ForTest(CgroupMode::kV1, {});
  std::vector<Process> started_;
};

TEST_F(RealCgroup, HoldsProcessesAndKillsThem) {
  const std::string child = name_ + "/a/b";
  ASSERT_OK(fs_.Create(child));
  const pid_t pid = Start(child);
  EXPECT_EQ(*fs_.Pids(name_), std::vector<int>{pid});
  const auto stats = ReadCgroupStats(fs_, child);
  ASSERT_OK(stats);
  if (fs_.has("pids")) {
    EXPECT_EQ(stats->pids, 1U);
  }
  if (fs_.has("memory")) {
    EXPECT_GT(stats->memory_usage + stats->memory_page_faults, 0U);
  }
  EXPECT_OK(fs_.KillAll(name_));
  Context ctx(seconds(10));
  EXPECT_EQ(started_[0].Wait(ctx)->signal, SIGKILL);
  EXPECT_OK(fs_.Remove(name_));
  EXPECT_OK(fs_.Remove(name_));
  EXPECT_TRUE(absl::IsNotFound(fs_.Pids(name_).status()));
  EXPECT_OK(fs_.KillAll(name_));
}

TEST_F(RealCgroup, KillsAProcessThatForksOn) {
  Start(name_, "while :; do sleep 1000 & done");
  ASSERT_TRUE(test::Eventually([&] { return fs_.Pids(name_)->size() > 20; }));
  EXPECT_OK(fs_.KillAll(name_));
  EXPECT_TRUE(test::Eventually([&] { return fs_.Pids(name_)->empty(); }));
}

TEST_F(RealCgroup, KillsFrozenProcesses) {
  if (fs_.mode() == CgroupMode::kV2 || !fs_.has("freezer")) {
    GTEST_SKIP() << "there is no v1 freezer here";
  }
  Start(name_);
  ASSERT_OK(fs_.Write("freezer", name_, "freezer.state", "FROZEN"));
  EXPECT_OK(fs_.KillAll(name_));
  EXPECT_TRUE(fs_.Pids(name_)->empty());
}

// systemd removes the cgroup of a scope when its last process ends.
TEST(CgroupTree, KillsWhatSomebodyElseRemovesMeanwhile) {
  std::string root = "/sys/fs/cgroup/unified";
  root = PathExists(root) ? root : "/sys/fs/cgroup";
  const std::string name = "/davit-test-" + ShortId(NewId());
  if (!PathExists(root + "/cgroup.controllers") || mkdir((root + name).c_str(), 0755) != 0) {
    GTEST_SKIP() << "needs a cgroup v2 hierarchy to write to";
  }
  const CgroupFs fs = CgroupFs::ForTest(CgroupMode::kV2, {{"", root}});
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) {
      rmdir((root + name).c_str());
      mkdir((root + name).c_str(), 0755);
    }
    rmdir((root + name).c_str());
  });
  for (int i = 0; i < 20000 && !HasFailure(); ++i) {
    EXPECT_OK(fs.KillAll(name));
  }
  done = true;
  other.join();
}

TEST_F(RealCgroup, ABusyCgroupIsNotRemoved) {
  Start(name_);
  const absl::Status status = fs_.Remove(name_);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(fs_.Pids(name_)->size(), 1U);
}

TEST_F(RealCgroup, LimitsAreWrittenAndReadBack) {
  if (fs_.mode() == CgroupMode::kV2 || !fs_.has("memory")) {
    GTEST_SKIP() << "there is no v1 memory controller here";
  }
  ASSERT_OK(fs_.Write("memory", name_, "memory.limit_in_bytes", "67108864"));
  EXPECT_EQ(*fs_.Read("memory", name_, "memory.limit_in_bytes"), "67108864\n");
  EXPECT_EQ(ReadCgroupStats(fs_, name_)->memory_limit, 67108864U);
  const absl::Status bad = fs_.Write("memory", name_, "memory.limit_in_bytes", "nonsense");
  EXPECT_TRUE(absl::IsInvalidArgument(bad));
  EXPECT_NE(Message(bad).find("nonsense"), std::string::npos);
}

TEST(CgroupMoves, AMoveThatChangesNothing) {
  const TempDir dir;
  const std::string procs = dir / "cgroup.procs";
  ASSERT_OK(WriteFileAtomic(procs, ""));
  {
    CgroupMoves moves(procs);
    moves.KeepQuick(std::chrono::milliseconds(0));
  }
  EXPECT_EQ(*ReadFile(procs), std::to_string(getpid()));
}

TEST(CgroupMoves, EndsBeforeItsTimeWithItsOwner) {
  const TempDir dir;
  const std::string procs = dir / "cgroup.procs";
  ASSERT_OK(WriteFileAtomic(procs, ""));
  CgroupMoves moves(procs);
  moves.KeepQuick(std::chrono::hours(1));
  moves.KeepQuick(std::chrono::milliseconds(1));
}

TEST(CgroupMoves, WhereItCannotBeDoneNothingHappens) {
  const TempDir dir;
  CgroupMoves moves(dir / "none/cgroup.procs");
  moves.KeepQuick(std::chrono::hours(1));
  moves.KeepQuick(std::chrono::hours(1));
  CgroupMoves none("");
  none.KeepQuick(std::chrono::hours(1));
}

TEST(CgroupMoves, StaysInItsCgroup) {
  const auto cgroups = CgroupFs::Detect();
  if (!test::IsRoot() || !cgroups.ok()) {
    GTEST_SKIP() << "needs root, and cgroups that are mounted";
  }
  const std::string before = *ReadFile("/proc/self/cgroup");
  const auto procs = OwnCgroupProcs(*cgroups);
  ASSERT_OK(procs);
  const std::string pids = *ReadFile(*procs);
  EXPECT_NE(("\n" + pids).find("\n" + std::to_string(getpid()) + "\n"), std::string::npos);
  {
    CgroupMoves moves(*procs);
    moves.KeepQuick(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(*ReadFile("/proc/self/cgroup"), before);
}

}  // namespace
}  // namespace davit
