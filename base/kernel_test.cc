// SPDX-License-Identifier: Apache-2.0
// mount, namespace and caps.
#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <thread>

#include <fmt/format.h>

#include "base/caps.h"
#include "base/file.h"
#include "base/mapped_pages.h"
#include "base/mount.h"
#include "base/mount_namespace.h"
#include "base/mount_tree.h"
#include "base/namespace.h"
#include "base/subprocess.h"
#include "base/test_util.h"
#include "base/text.h"
#include "base/user_namespace.h"

namespace davit {
namespace {

using test::TempDir;

TEST(MappedPages, OnlyCleanOnesOfFilesThatNobodyWrites) {
  const std::string_view smaps =
      "00400000-00500000 r-xp 00001000 fd:00 1234                   /usr/bin/a program\n"
      "Rss:                1024 kB\nAnonymous:             0 kB\nVmFlags: rd ex mr mw me\n"
      "00500000-00600000 r--p 00101000 fd:00 1234                   /usr/bin/relocated\n"
      "Anonymous:             4 kB\n"
      "00600000-00700000 rw-p 00201000 fd:00 1234                   /usr/bin/data\n"
      "Anonymous:             0 kB\n"
      "00700000-00800000 r--s 00000000 fd:00 99                     /var/shared\n"
      "Anonymous:             0 kB\n"
      "00800000-00900000 r-xp 00000000 00:00 0                      [vdso]\n"
      "Anonymous:             0 kB\n"
      "00900000-00a00000 r--p 00000000 00:00 0\nAnonymous:             0 kB\n"
      "7fff00000000-7fff00001000 r--p 00000000 fd:00 7 /usr/lib/b.so\nAnonymous:             0 "
      "kB\n";
  const auto ranges = CleanFileRanges(smaps);
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[0].begin, 0x400000U);
  EXPECT_EQ(ranges[0].end, 0x500000U);
  EXPECT_EQ(ranges[1].begin, 0x7fff00000000U);
  EXPECT_TRUE(CleanFileRanges("").empty());
  EXPECT_TRUE(CleanFileRanges("-:-\nAnonymous: 0 kB\n7-\nAnonymous:\nzz").empty());
}

TEST(MappedPages, TheProgramGoesOnWithoutThem) {
  const auto resident = [] {
    const auto words = Words(*ReadFile("/proc/self/statm"));
    return ParseInt(words[1]).value_or(0);
  };
  const auto before = resident();
  ASSERT_OK(DropMappedPages());
  EXPECT_LT(resident(), before);
}

TEST(MountInfo, ParsesFieldsAndEscapes) {
  const auto mounts = ParseMountInfo(
      "36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime master:1 shared:7 - ext3 /dev/root "
      "rw,errors=continue\n"
      "37 35 0:4 net:[4026532] /run/ns/a rw - nsfs nsfs rw\n"
      "38 35 0:5 / /empty rw - tmpfs  rw\n"
      "39 35 0:5 / /odd\\04 rw unbindable - tmpfs tmpfs rw");
  ASSERT_OK(mounts);
  ASSERT_EQ(mounts->size(), 4U);
  const MountEntry& first = mounts->front();
  EXPECT_EQ(first.id, 36U);
  EXPECT_EQ(first.root, "/mnt1");
  EXPECT_EQ(first.target, "/mnt 2\\x");
  EXPECT_EQ(first.filesystem, "ext3");
  EXPECT_EQ(first.source, "/dev/root");
  EXPECT_EQ(first.super_options, "rw,errors=continue");
  EXPECT_TRUE(first.shared);
  EXPECT_TRUE(first.slave);
  EXPECT_EQ((*mounts)[1].filesystem, "nsfs");
  EXPECT_FALSE((*mounts)[1].shared);
  EXPECT_EQ((*mounts)[2].source, "");
  EXPECT_EQ((*mounts)[3].target, "/odd\\04");
}

TEST(MountInfo, RefusesGarbage) {
  for (const char* bad : {"x", "1 2 3", "1 2 0:1 / /a rw -", "1 2 0:1 / /a rw - ext4 dev",
                          "-1 2 0:1 / /a rw - ext4 dev rw", "1 2 - / /a rw ext4 dev rw",
                          "1 2 0:1 / /a rw shared:1 ext4 dev rw"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseMountInfo(bad).status())) << bad;
  }
  EXPECT_TRUE(ParseMountInfo("")->empty());
}

TEST(Mount, TheRootIsFound) {
  EXPECT_OK(ListMounts());
  EXPECT_EQ(MountOf("/proc/self")->filesystem, "proc");
  EXPECT_TRUE(absl::IsNotFound(MountOf("/no/such/path").status()));
}

// Runs the test's body in a thread with a mount namespace of its own.
void InOwnMountNs(const std::function<void()>& body) {
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    body();
  }).join();
}

#define NEEDS_ROOT()                       \
  if (!test::IsRoot()) {                   \
    GTEST_SKIP() << "mounting needs root"; \
  }

TEST(Mount, BindsReadOnlyWithAllBelow) {
  NEEDS_ROOT();
  TempDir dir;
  InOwnMountNs([&] {
    ASSERT_OK(MakeDirs(dir / "src/sub"));
    ASSERT_OK(MakeDirs(dir / "dst"));
    ASSERT_OK(MountTmpfs(dir / "src/sub", 1U << 20U));
    ASSERT_OK(BindMount(dir / "src", dir / "dst", /*recursive=*/true, /*readonly=*/true));
    EXPECT_FALSE(WriteFileAtomic(dir / "dst/f", "").ok());
    EXPECT_FALSE(WriteFileAtomic(dir / "dst/sub/f", "").ok());
    EXPECT_OK(WriteFileAtomic(dir / "src/sub/f", ""));
    EXPECT_TRUE(PathExists(dir / "dst/sub/f"));
    EXPECT_OK(UnmountAllBelow(dir.path()));
    EXPECT_TRUE(MountsBelow(dir.path())->empty());
  });
}

TEST(Mount, ListsAndUnmountsBelowDeepestFirst) {
  NEEDS_ROOT();
  TempDir dir;
  InOwnMountNs([&] {
    ASSERT_OK(MakeDirs(dir / "a b"));
    ASSERT_OK(MakeDirs(dir / "a bc"));
    ASSERT_OK(MountTmpfs(dir / "a b", 1U << 20U));
    ASSERT_OK(MakeDirs(dir / "a b/x\\y\n"));
    ASSERT_OK(MountTmpfs(dir / "a b/x\\y\n", 1U << 20U));
    ASSERT_OK(MountTmpfs(dir / "a b", 1U << 20U, 0755));  // over the first, hides it
    ASSERT_OK(MountTmpfs(dir / "a bc", 1U << 20U));
    const auto below = MountsBelow(dir / "a b/");
    ASSERT_EQ(below->size(), 3U);
    EXPECT_EQ(below->back().target, dir / "a b/x\\y\n");
    EXPECT_EQ(MountOf(dir / "a b")->id, (*below)[1].id);
    struct stat st = {};
    ASSERT_EQ(stat((dir / "a b").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777U, 0755U);
    EXPECT_OK(UnmountAllBelow(dir / "a b"));
    EXPECT_TRUE(MountsBelow(dir / "a b")->empty());
    EXPECT_EQ(MountsBelow(dir.path())->size(), 1U);
    EXPECT_OK(Unmount(dir / "a bc"));
    EXPECT_OK(Unmount(dir / "a bc"));
    EXPECT_OK(Unmount(dir / "none"));
  });
}

std::string OwnerOf(const std::string& path) {
  struct stat st = {};
  return stat(path.c_str(), &st) == 0 ? fmt::format("{}:{}", st.st_uid, st.st_gid) : "(missing)";
}

TEST(MountTree, CopiesAreMappedReadOnlyAndApart) {
  NEEDS_ROOT();
  const TempDir dir;
  InOwnMountNs([&] {
    for (const char* name : {"src", "copy", "follow"}) {
      ASSERT_OK(MakeDirs(dir / name));
    }
    ASSERT_OK(MountTmpfs(dir / "src", 1U << 20U, 0755));
    ASSERT_EQ(mount(nullptr, (dir / "src").c_str(), nullptr, MS_SHARED, nullptr), 0);
    ASSERT_OK(MakeDirs(dir / "src/below"));
    ASSERT_OK(MakeDirs(dir / "src/later"));
    ASSERT_OK(MountTmpfs(dir / "src/below", 1U << 20U, 0755));
    ASSERT_OK(WriteFileAtomic(dir / "src/below/file", "x"));
    ASSERT_OK(WriteFileAtomic(dir / "src/file", "y"));
    const auto ns = MakeUserNamespace("0 200000 1000\n", "0 300000 1000\n");
    ASSERT_OK(ns);
    const absl::Status made =
        AttachMountTree(dir / "src", dir / "copy", {.readonly = true, .user_namespace = ns->get()});
    if (absl::IsUnimplemented(made)) {
      GTEST_SKIP() << made;
    }
    ASSERT_OK(made);
    ASSERT_OK(AttachMountTree(dir / "src", dir / "follow", {.follow = true}));
    ASSERT_OK(AttachMountTree(dir / "src/file", dir / "one-file", {.user_namespace = ns->get()}));
    EXPECT_EQ(OwnerOf(dir / "copy/below/file"), "200000:300000");
    EXPECT_EQ(OwnerOf(dir / "one-file"), "200000:300000");
    EXPECT_EQ(OwnerOf(dir / "follow/below/file"), "0:0");
    EXPECT_FALSE(WriteFileAtomic(dir / "copy/below/made", "x").ok());
    ASSERT_OK(MountTmpfs(dir / "src/later", 1U << 20U));
    EXPECT_EQ(MountsBelow(dir / "copy")->size(), 2U);
    EXPECT_EQ(MountsBelow(dir / "follow")->size(), 3U);
    EXPECT_OK(UnmountAllBelow(dir / "follow"));
    EXPECT_OK(UnmountAllBelow(dir / "copy"));
    EXPECT_EQ(MountsBelow(dir / "src")->size(), 3U) << "what is done to copies stays with them";
  });
  EXPECT_TRUE(absl::IsNotFound(CopyMountTree(dir / "none", {}).status()));
}

std::string ListIn(const UniqueFd& name_space, const std::string& path) {
  Context ctx(std::chrono::seconds(10));
  const auto result = Run(
      ctx, {.argv = {"/bin/ls", path}, .env = MinimalEnv(), .mount_namespace = name_space.get()});
  return result.ok() ? result->out + result->err : Message(result.status());
}

TEST(MountNamespace, HasWhatItIsGivenAndNoMore) {
  NEEDS_ROOT();
  TempDir dir;
  InOwnMountNs([&] {
    // As on a machine whose mounts are passed on to others.
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_SHARED, nullptr), 0);
    for (const char* name : {"hidden", "given", "later"}) {
      ASSERT_OK(MakeDirs(dir / name));
    }
    ASSERT_OK(MountTmpfs(dir / "hidden", 1U << 20U));
    ASSERT_OK(WriteFileAtomic(dir / "hidden/h", ""));
    ASSERT_OK(MountTmpfs(dir / "given", 1U << 20U));
    ASSERT_OK(MakeDirs(dir / "given/below"));
    ASSERT_OK(MountTmpfs(dir / "given/below", 1U << 20U));
    ASSERT_OK(WriteFileAtomic(dir / "given/below/b", ""));
    const size_t mounts = ListMounts()->size();

    const auto lean = MakeMountNamespace({"/", "/proc", "/dev"});
    ASSERT_OK(lean);
    EXPECT_EQ(ListIn(*lean, dir / "hidden"), "");
    EXPECT_EQ(ListIn(*lean, dir / "given"), "");
    ASSERT_OK(MountTmpfs(dir / "later", 1U << 20U));
    ASSERT_OK(WriteFileAtomic(dir / "later/l", ""));
    EXPECT_EQ(ListIn(*lean, dir / "later"), "");

    std::vector<PlacedTree> trees;
    auto tree = CopyMountTree(dir / "given", {.peer = true});
    ASSERT_OK(tree);
    trees.push_back({.tree = *std::move(tree), .target = dir / "given"});
    const auto extended = ExtendMountNamespace(lean->get(), trees);
    ASSERT_OK(extended);
    trees.clear();
    EXPECT_EQ(ListIn(*extended, dir / "given/below"), "b\n");
    EXPECT_EQ(ListIn(*extended, dir / "hidden"), "");
    EXPECT_EQ(ListIn(*lean, dir / "given"), "") << "the one it was made from is as it was";
    EXPECT_EQ(ListMounts()->size(), mounts + 1) << "nothing of it is seen here but what came later";
    // A peer: what is mounted here comes there, too.
    ASSERT_OK(MakeDirs(dir / "given/new"));
    ASSERT_OK(MountTmpfs(dir / "given/new", 1U << 20U));
    ASSERT_OK(WriteFileAtomic(dir / "given/new/n", ""));
    EXPECT_EQ(ListIn(*extended, dir / "given/new"), "n\n");
    EXPECT_OK(UnmountAllBelow(dir.path()));
  });
}

TEST(MountNamespace, ErrorsNameTheMount) {
  NEEDS_ROOT();
  InOwnMountNs([&] {
    const absl::Status missing = MakeMountNamespace({"/", "/no/such/mount"}).status();
    EXPECT_TRUE(absl::IsNotFound(missing));
    EXPECT_NE(Message(missing).find("/no/such/mount"), std::string::npos) << missing;
    const auto lean = MakeMountNamespace({"/"});
    ASSERT_OK(lean);
    auto tree = CopyMountTree("/proc", {});
    ASSERT_OK(tree);
    std::vector<PlacedTree> trees;
    trees.push_back({.tree = *std::move(tree), .target = "/no/such/target"});
    const absl::Status nowhere = ExtendMountNamespace(lean->get(), trees).status();
    EXPECT_NE(Message(nowhere).find("/no/such/target"), std::string::npos) << nowhere;
  });
}

TEST(Mount, ErrorsNameBothEnds) {
  const absl::Status status = BindMount("/no/source", "/no/target", false);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(Message(status).find("/no/source"), std::string::npos);
  EXPECT_NE(Message(status).find("/no/target"), std::string::npos);
}

class Pins : public testing::Test {
 protected:
  void SetUp() override { NEEDS_ROOT(); }
  void TearDown() override {
    for (const char* name : {"net", "ipc", "uts", "user"}) {
      EXPECT_OK(UnpinNamespace(dir_ / name));
    }
  }
  static std::string Hostname() {
    utsname names = {};
    uname(&names);
    return names.nodename;
  }
  TempDir dir_;
};

TEST_F(Pins, MakesNamespacesWithHostnameAndSysctls) {
  const std::string before = Hostname();
  const std::string forward = *ReadFile("/proc/sys/net/ipv4/ip_local_port_range");
  const PinnedNamespaces what = {.net = dir_ / "net",
                                 .ipc = dir_ / "ipc",
                                 .uts = dir_ / "uts",
                                 .hostname = "pod-1",
                                 .sysctls = {{"net.ipv4.ip_local_port_range", "20000 21000"},
                                             {"net/ipv4/conf/lo/rp_filter", "2"},
                                             {"kernel.shm_rmid_forced", "1"}}};
  ASSERT_OK(PinNamespaces(what));
  EXPECT_EQ(Hostname(), before);
  EXPECT_EQ(*ReadFile("/proc/sys/net/ipv4/ip_local_port_range"), forward);
  for (const char* name : {"net", "ipc", "uts"}) {
    EXPECT_TRUE(IsNamespacePin(dir_ / name)) << name;
  }
  EXPECT_OK(RunInNetNs(dir_ / "net", []() -> absl::Status {
    EXPECT_EQ(ReadFile("/proc/sys/net/ipv4/ip_local_port_range").value_or(""), "20000\t21000\n");
    EXPECT_EQ(ReadFile("/proc/sys/net/ipv4/conf/lo/rp_filter").value_or(""), "2\n");
    return absl::OkStatus();
  }));
  std::thread([&] {
    const UniqueFd uts = *Open(dir_ / "uts", O_RDONLY);
    EXPECT_EQ(setns(uts.get(), CLONE_NEWUTS), 0);
    EXPECT_EQ(Hostname(), "pod-1");
  }).join();
  EXPECT_TRUE(absl::IsAlreadyExists(PinNamespaces({.net = dir_ / "net"})));
  EXPECT_TRUE(IsNamespacePin(dir_ / "net"));
  EXPECT_OK(UnpinNamespace(dir_ / "net"));
  EXPECT_FALSE(PathExists(dir_ / "net"));
  EXPECT_OK(UnpinNamespace(dir_ / "net"));
}

TEST_F(Pins, AUserNamespaceOwnsTheOthers) {
  const PinnedNamespaces what = {.user = dir_ / "user",
                                 .uid_map = "0 200000 1000\n",
                                 .gid_map = "0 300000 1000\n",
                                 .root_uid = 200000,
                                 .net = dir_ / "net",
                                 .ipc = dir_ / "ipc",
                                 .uts = dir_ / "uts",
                                 .hostname = "pod-1",
                                 .sysctls = {{"net.ipv4.ip_local_port_range", "20000 21000"},
                                             {"kernel.shm_rmid_forced", "1"}}};
  ASSERT_OK(PinNamespaces(what));
  EXPECT_EQ(geteuid(), 0U);
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
  struct stat user = {};
  ASSERT_EQ(stat((dir_ / "user").c_str(), &user), 0);
  for (const char* name : {"net", "ipc", "uts"}) {
    const UniqueFd pin = *Open(dir_ / name, O_RDONLY);
    const UniqueFd owner(ioctl(pin.get(), NS_GET_USERNS));
    struct stat st = {};
    ASSERT_EQ(fstat(owner.get(), &st), 0) << name;
    EXPECT_EQ(st.st_ino, user.st_ino) << name;
  }
  std::thread([&] {
    for (const char* name : {"uts", "ipc", "net"}) {
      const UniqueFd pin = *Open(dir_ / name, O_RDONLY);
      EXPECT_EQ(setns(pin.get(), 0), 0) << name;
    }
    EXPECT_EQ(Hostname(), "pod-1");
    EXPECT_EQ(ReadFile("/proc/sys/kernel/shm_rmid_forced").value_or(""), "1\n");
    EXPECT_EQ(ReadFile("/proc/sys/net/ipv4/ip_local_port_range").value_or(""), "20000\t21000\n");
  }).join();
  EXPECT_OK(UnpinNamespace(dir_ / "net"));
  PinnedNamespaces wrong = what;
  wrong.user = dir_ / "other";
  EXPECT_TRUE(absl::IsAlreadyExists(PinNamespaces(wrong))) << "ipc is there";
  EXPECT_FALSE(PathExists(dir_ / "other"));
  EXPECT_FALSE(PathExists(dir_ / "net"));
  wrong = {.user = dir_ / "other", .uid_map = "0 0 0\n", .gid_map = "0 0 1\n"};
  EXPECT_TRUE(absl::IsInvalidArgument(PinNamespaces(wrong)));
  EXPECT_FALSE(PathExists(dir_ / "other"));
}

TEST_F(Pins, AFailureLeavesNothingPinned) {
  PinnedNamespaces what = {.net = dir_ / "net", .ipc = dir_ / "ipc", .uts = dir_ / "no/uts"};
  EXPECT_FALSE(PinNamespaces(what).ok());
  EXPECT_FALSE(PathExists(dir_ / "net"));
  EXPECT_FALSE(PathExists(dir_ / "ipc"));
  what.uts.clear();
  what.sysctls = {{"net.ipv4.no_such_setting", "1"}};
  const absl::Status unknown = PinNamespaces(what);
  EXPECT_TRUE(absl::IsInvalidArgument(unknown)) << unknown;
  EXPECT_NE(Message(unknown).find("net.ipv4.no_such_setting"), std::string::npos);
  what.sysctls = {{"net.ipv4.ip_local_port_range", "nonsense"}};
  EXPECT_TRUE(absl::IsInvalidArgument(PinNamespaces(what)));
  EXPECT_FALSE(PathExists(dir_ / "net"));
}

TEST_F(Pins, HostileSysctlNamesAreRefused) {
  for (const char* bad :
       {"", ".", "net", "net..x", "net.ipv4/../../x", "../../etc/passwd", "net.ipv4.ip forward",
        "/proc/sys/net", "net/../kernel/core_pattern", "net.ipv4.\n", "net/./x", "net.//.x"}) {
    const PinnedNamespaces what = {.net = dir_ / "net", .sysctls = {{bad, "1"}}};
    EXPECT_TRUE(absl::IsInvalidArgument(PinNamespaces(what))) << bad;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(PinNamespaces({.sysctls = {{"net.ipv4.ip_forward", "1"}}})));
  EXPECT_OK(PinNamespaces({}));
}

TEST_F(Pins, RunInNetNsRunsThereAndPassesErrorsOn) {
  ASSERT_OK(PinNamespaces({.net = dir_ / "net"}));
  const auto status = RunInNetNs(dir_ / "net", [] {
    char name[IF_NAMESIZE] = {};
    EXPECT_STREQ(if_indextoname(1, name), "lo");
    EXPECT_EQ(if_indextoname(2, name), nullptr) << "a fresh namespace has lo alone";
    return Unavailable("passed on");
  });
  EXPECT_EQ(status, Unavailable("passed on"));
  const auto never = [] {
    ADD_FAILURE() << "ran";
    return absl::OkStatus();
  };
  EXPECT_TRUE(absl::IsNotFound(RunInNetNs(dir_ / "none", never)));
  ASSERT_OK(WriteFileAtomic(dir_ / "plain", ""));
  EXPECT_EQ(RunInNetNs(dir_ / "plain", never).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(IsNamespacePin(dir_ / "plain"));
}

TEST(Caps, OwnAreKnownNames) {
  const auto own = OwnCapabilities();
  ASSERT_OK(own);
  if (test::IsRoot()) {
    EXPECT_TRUE(own->contains("CAP_CHOWN"));
  }
  for (const std::string& name : *own) {
    EXPECT_EQ(*NormalizeCapability(name), name);
  }
}

TEST(Caps, Normalizes) {
  for (const char* form : {"net_admin", "NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin"}) {
    EXPECT_EQ(*NormalizeCapability(form), "CAP_NET_ADMIN");
  }
  for (const char* bad : {"", "CAP_", "ALL", "NOPE", "12", "cap_12", "net_admin\n", "net admin"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(NormalizeCapability(bad).status())) << bad;
  }
}

}  // namespace
}  // namespace davit
