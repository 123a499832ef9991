// SPDX-License-Identifier: Apache-2.0
#include "storage/tar_applier.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <clocale>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "storage/layer_flags.h"
#include "storage/layer_tree.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using ::testing::HasSubstr;

// Gives a string in portions, so that headers and data straddle them.
class StringSource : public ByteSource {
 public:
  StringSource(std::string text, size_t portion) : text_(std::move(text)), portion_(portion) {}
  absl::StatusOr<std::span<const uint8_t>> Next() override {
    const size_t count = std::min(portion_, text_.size() - at_);
    const auto* begin = reinterpret_cast<const uint8_t*>(text_.data()) + at_;
    at_ += count;
    return std::span<const uint8_t>(begin, count);
  }

 private:
  std::string text_;
  size_t portion_;
  size_t at_ = 0;
};

class TarApplier : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!EnterTestNamespace()) {
      GTEST_SKIP() << "needs root for device nodes, owners and trusted attributes";
    }
  }

  absl::Status Apply(const std::string& tar, size_t portion = 1000) {
    StringSource source(tar, portion);
    EXPECT_TRUE(RemoveTree(dir_ / "layer").ok());
    EXPECT_TRUE(MakeDirs(dir_ / "layer").ok());
    const auto directory = Open(dir_ / "layer", O_RDONLY | O_DIRECTORY);
    EXPECT_TRUE(directory.ok());
    const mode_t mask = umask(0);
    auto result = ApplyTar(source, directory->get(), limits_, &LayerTree::SetOpaque);
    umask(mask);
    if (result.ok()) {
      result_ = *result;
    }
    message_ = Message(result.status());
    return result.status();
  }
  absl::Status Apply(const TarBuilder& tar) { return Apply(tar.Finish()); }
  void ExpectRefused(const TarBuilder& tar, const std::string& words) {
    const absl::Status status = Apply(tar);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << Message(status);
    EXPECT_THAT(Message(status), HasSubstr(words));
  }
  [[nodiscard]] std::string In(const std::string& name) const {
    return dir_ / ("layer/diff/" + name);
  }

  TestDir dir_;
  ApplyLimits limits_{.max_bytes = 1U << 20U, .max_files = 1000};
  ApplyResult result_;
  std::string message_;  // of the last Apply
};

TEST_F(TarApplier, KeepsOwnerModeTimeAndContent) {
  TarBuilder tar;
  tar.Add({.name = "etc/", .type = '5', .mode = 01750, .uid = 7, .gid = 8, .mtime = 1'000'000'001});
  tar.Add({.name = "etc/su",
           .data = "body",
           .mode = 06755,
           .uid = 1000,
           .gid = 2000,
           .mtime = 1'234'567'890,
           .pax = {{"mtime", "1234567890.123456789"}}});
  tar.Symlink("etc/link", "../../../outside");
  ASSERT_TRUE(Apply(tar).ok()) << message_;
  const struct stat file = StatOf(In("etc/su"));
  EXPECT_EQ(file.st_mode, S_IFREG | 06755U);
  EXPECT_EQ(file.st_uid, 1000U);
  EXPECT_EQ(file.st_gid, 2000U);
  EXPECT_EQ(file.st_mtim.tv_sec, 1'234'567'890);
  EXPECT_EQ(file.st_mtim.tv_nsec, 123'456'789);
  EXPECT_EQ(Text(In("etc/su")), "body");
  const struct stat dir = StatOf(In("etc"));
  EXPECT_EQ(dir.st_mode, S_IFDIR | 01750U);
  EXPECT_EQ(dir.st_uid, 7U);
  EXPECT_EQ(dir.st_mtim.tv_sec, 1'000'000'001) << "later entries must not change it";
  char target[64] = {};
  EXPECT_EQ(readlink(In("etc/link").c_str(), target, sizeof target - 1), 16);
  EXPECT_STREQ(target, "../../../outside");
  EXPECT_EQ(result_.files, 3U);
  EXPECT_EQ(result_.bytes, 4U);
}

TEST_F(TarApplier, UmaskDoesNotMatter) {
  const mode_t old = umask(077);
  const absl::Status status = Apply(TarBuilder().File("a/b/c", "x").Dir("d", 0777));
  umask(old);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(StatOf(In("a")).st_mode, S_IFDIR | 0755U) << "a missing parent";
  EXPECT_EQ(StatOf(In("a/b")).st_mode, S_IFDIR | 0755U);
  EXPECT_EQ(StatOf(In("a/b/c")).st_mode, S_IFREG | 0644U);
  EXPECT_EQ(StatOf(In("d")).st_mode, S_IFDIR | 0777U);
  EXPECT_EQ(StatOf(In("")).st_mode, S_IFDIR | 0755U) << "a root that the tar does not mention";
  EXPECT_EQ(result_.files, 4U);
}

TEST_F(TarApplier, RootEntryIsTheRoot) {
  ASSERT_TRUE(
      Apply(TarBuilder().Add({.name = "./", .type = '5', .mode = 0700, .uid = 5}).File("./x"))
          .ok());
  EXPECT_EQ(StatOf(In("")).st_mode, S_IFDIR | 0700U);
  EXPECT_EQ(StatOf(In("")).st_uid, 5U);
  EXPECT_EQ(StatOf(In("")).st_mtim.tv_sec, 1'600'000'000);
  EXPECT_NE(result_.flags & kHasRootEntry, 0U);
  EXPECT_EQ(result_.files, 1U);
}

TEST_F(TarApplier, WhiteoutsBecomeDevices) {
  ASSERT_TRUE(Apply(TarBuilder().Dir("d").File("d/.wh.gone").File(".wh.top")).ok()) << message_;
  for (const char* name : {"d/gone", "top"}) {
    EXPECT_TRUE(S_ISCHR(StatOf(In(name)).st_mode)) << name;
    EXPECT_EQ(StatOf(In(name)).st_rdev, makedev(0, 0)) << name;
  }
  EXPECT_FALSE(PathExists(In("d/.wh.gone")));
  EXPECT_NE(result_.flags & kHasWhiteouts, 0U);
}

TEST_F(TarApplier, OpaqueMarkerBeforeAndAfterTheEntries) {
  ASSERT_TRUE(Apply(TarBuilder()
                        .Dir("a")
                        .File("a/.wh..wh..opq")
                        .File("a/x", "1")
                        .Dir("b")
                        .File("b/x", "2")
                        .File("b/.wh..wh..opq")
                        .File("c/.wh..wh..opq")
                        .Dir("c", 0711))
                  .ok())
      << message_;
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(Xattr(In(name), "trusted.overlay.opaque"), "y") << name;
  }
  EXPECT_EQ(Text(In("a/x")), "1");
  EXPECT_EQ(Text(In("b/x")), "2");
  EXPECT_EQ(StatOf(In("c")).st_mode, S_IFDIR | 0711U);
  EXPECT_FALSE(PathExists(In("a/.wh..wh..opq")));
}

TEST_F(TarApplier, OpaqueRootIsAFlag) {
  ASSERT_TRUE(Apply(TarBuilder().File(".wh..wh..opq").File("x")).ok()) << message_;
  EXPECT_NE(result_.flags & kOpaqueRoot, 0U);
}

TEST_F(TarApplier, WhiteoutAndEntryOfTheSameName) {
  ASSERT_TRUE(Apply(TarBuilder()
                        .File(".wh.d1")
                        .Dir("d1")
                        .File("d1/x", "1")  // the old d1 goes, a new comes
                        .Dir("d2")
                        .File("d2/x", "2")
                        .File(".wh.d2")
                        .File(".wh.d3")
                        .File("d3/x", "3")  // without an entry for d3
                        .File(".wh.f1")
                        .File("f1", "4")
                        .File("f2", "5")
                        .File(".wh.f2"))
                  .ok())
      << message_;
  for (const char* name : {"d1", "d2", "d3"}) {
    EXPECT_TRUE(S_ISDIR(StatOf(In(name)).st_mode)) << name;
    EXPECT_EQ(Xattr(In(name), "trusted.overlay.opaque"), "y") << name;
  }
  EXPECT_EQ(Text(In("d1/x")) + Text(In("d2/x")) + Text(In("d3/x")), "123");
  EXPECT_EQ(Text(In("f1")) + Text(In("f2")), "45");
}

TEST_F(TarApplier, AufsBookkeepingIsSkipped) {
  ASSERT_TRUE(
      Apply(
          TarBuilder().Dir(".wh..wh.plnk").File(".wh..wh.plnk/1.2").File(".wh..wh.aufs").File("x"))
          .ok());
  EXPECT_EQ(ListDir(In(""))->size(), 1U);
}

TEST_F(TarApplier, HardLinksShareTheInode) {
  ASSERT_TRUE(Apply(TarBuilder()
                        .File("bin/a", "body")
                        .Hardlink("lib/b", "bin/a")
                        .Hardlink("c", "./bin//a")
                        .Symlink("s", "nowhere")
                        .Hardlink("t", "s")
                        .Hardlink("bin/a", "bin/a"))
                  .ok())
      << message_;
  EXPECT_EQ(StatOf(In("lib/b")).st_ino, StatOf(In("bin/a")).st_ino);
  EXPECT_EQ(StatOf(In("c")).st_nlink, 3U);
  EXPECT_EQ(StatOf(In("t")).st_ino, StatOf(In("s")).st_ino);
  EXPECT_EQ(result_.bytes, 4U);
}

TEST_F(TarApplier, HardLinkTargetMustBeInTheLayer) {
  ExpectRefused(TarBuilder().Hardlink("a", "missing/file"), "not in this layer");
}
TEST_F(TarApplier, HardLinkOutIsRefused) {
  ExpectRefused(TarBuilder().Hardlink("a", "../../../../etc/passwd"), "'..'");
}
TEST_F(TarApplier, AbsoluteHardLinkStaysInside) {
  ExpectRefused(TarBuilder().Hardlink("a", "/etc/passwd"), "not in this layer");
}
TEST_F(TarApplier, HardLinkThroughSymlinkStaysInside) {
  ExpectRefused(TarBuilder().Symlink("etc", "/etc").Hardlink("a", "etc/passwd"),
                "not in this layer");
}
TEST_F(TarApplier, HardLinkToDirectoryIsRefused) {
  ExpectRefused(TarBuilder().Dir("d").Hardlink("a", "d"), "directory");
}
TEST_F(TarApplier, HardLinkToWhiteoutIsRefused) {
  ExpectRefused(TarBuilder().File(".wh.d").Hardlink("a", "d"), "not in this layer");
}

TEST_F(TarApplier, DotDotIsRefused) {
  ExpectRefused(TarBuilder().File("../escape", "x"), "'..'");
  EXPECT_FALSE(PathExists(dir_ / "layer/escape"));
}
TEST_F(TarApplier, DotDotInTheMiddleIsRefused) {
  ExpectRefused(TarBuilder().File("a/../../../escape"), "'..'");
}
TEST_F(TarApplier, WhiteoutOfDotDotIsRefused) {
  ExpectRefused(TarBuilder().File("d/.wh..."), "whiteout of no name");
}
TEST_F(TarApplier, WhiteoutOfDotIsRefused) {
  ExpectRefused(TarBuilder().File("d/.wh.."), "whiteout of no name");
}
TEST_F(TarApplier, WhiteoutOfNothingIsRefused) {
  ExpectRefused(TarBuilder().File(".wh."), "whiteout of no name");
}
TEST_F(TarApplier, EntryBelowAWhiteoutIsRefused) {
  ExpectRefused(TarBuilder().File(".wh.a/b"), "below a whiteout");
}
TEST_F(TarApplier, RootCannotBeAFile) {
  ExpectRefused(TarBuilder().Symlink("./", "/etc"), "root of the layer");
}
TEST_F(TarApplier, FileAsParentIsRefused) {
  ExpectRefused(TarBuilder().File("f").File("f/x"), "no directory");
}
TEST_F(TarApplier, DanglingSymlinkAsParentIsRefused) {
  ExpectRefused(TarBuilder().Symlink("l", "/nowhere").File("l/x"), "symlink");
}
TEST_F(TarApplier, SymlinkWithoutTargetIsRefused) {
  ExpectRefused(TarBuilder().Symlink("l", ""), "without a target");
}
TEST_F(TarApplier, LongComponentIsRefused) {
  ExpectRefused(TarBuilder().Add({.name = "x", .pax = {{"path", std::string(256, 'a')}}}),
                "component");
}
TEST_F(TarApplier, LongPathIsRefused) {
  std::string path;
  while (path.size() < 5000) {
    path += "d/";
  }
  ExpectRefused(TarBuilder().Add({.name = "x", .pax = {{"path", path}}}), "bytes long");
}
TEST_F(TarApplier, OwnerOutOfRangeIsRefused) {
  ExpectRefused(TarBuilder().Add({.name = "x", .pax = {{"uid", "4294967295"}}}), "user ID");
}

TEST_F(TarApplier, AbsoluteNamesMeanTheLayer) {
  ASSERT_TRUE(Apply(TarBuilder().File("/davit-test-absolute", "x")).ok()) << message_;
  EXPECT_EQ(Text(In("davit-test-absolute")), "x");
  EXPECT_FALSE(PathExists("/davit-test-absolute"));
}

TEST_F(TarApplier, SymlinkParentsStayInside) {
  const std::string outside = dir_ / "outside";
  ASSERT_TRUE(MakeDirs(outside).ok());
  // Absolute targets mean the layer's root; the directory there is the layer's.
  ASSERT_TRUE(Apply(TarBuilder()
                        .Dir("real")
                        .Symlink("abs", "/real")
                        .Symlink("up", "../../real")
                        .File("abs/1", "one")
                        .File("up/2", "two"))
                  .ok())
      << message_;
  EXPECT_EQ(Text(In("real/1")) + Text(In("real/2")), "onetwo");
  const absl::Status status = Apply(TarBuilder().Symlink("out", outside).File("out/evil", "x"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(ListDir(outside)->empty());
}

TEST_F(TarApplier, FinalSymlinkIsReplacedNotFollowed) {
  const std::string victim = dir_ / "victim";
  ASSERT_TRUE(WriteFileAtomic(victim, "safe").ok());
  ASSERT_TRUE(Apply(TarBuilder()
                        .Symlink("a", victim)
                        .File("a", "new")
                        .Symlink("b", victim)
                        .Dir("b")
                        .Symlink("c", victim)
                        .Hardlink("d", "c"))
                  .ok())
      << message_;
  EXPECT_EQ(Text(victim), "safe");
  EXPECT_EQ(Text(In("a")), "new");
  EXPECT_TRUE(S_ISDIR(StatOf(In("b")).st_mode));
  EXPECT_TRUE(S_ISLNK(StatOf(In("d")).st_mode));
  EXPECT_EQ(StatOf(victim).st_mode & 0777U, 0600U);
}

TEST_F(TarApplier, LaterEntryReplacesEarlierOfAnotherType) {
  TarBuilder tar;
  tar.File("x", "file").Dir("x").File("x/in", "1").Symlink("x", "y").File("x", "last");
  tar.Dir("tree/sub/deep").File("tree/sub/deep/f", "22").File("tree", "flat");
  tar.Dir("kept").File("kept/in", "333").Dir("kept", 0711);
  tar.File("twice", "first").File("twice", "2nd");
  tar.Dir("p").File("p/1", "1").Symlink("q", "p").File("q/2", "2").Dir("q").File("q/3", "3");
  ASSERT_TRUE(Apply(tar).ok()) << message_;
  EXPECT_EQ(Text(In("x")), "last");
  EXPECT_EQ(Text(In("tree")), "flat");
  EXPECT_EQ(Text(In("kept/in")), "333");
  EXPECT_EQ(StatOf(In("kept")).st_mode, S_IFDIR | 0711U);
  EXPECT_EQ(Text(In("twice")), "2nd");
  EXPECT_EQ(Text(In("p/2")) + Text(In("q/3")), "23");
  EXPECT_FALSE(PathExists(In("p/3")));
}

TEST_F(TarApplier, DevicesAndFifos) {
  ASSERT_TRUE(
      Apply(TarBuilder()
                .Add({.name = "dev/null", .type = '3', .mode = 0666, .major = 1, .minor = 3})
                .Add({.name = "dev/sda", .type = '4', .mode = 0660, .gid = 6, .major = 8})
                .Add({.name = "run/pipe", .type = '6', .mode = 0620, .uid = 3}))
          .ok());
  EXPECT_EQ(StatOf(In("dev/null")).st_mode, S_IFCHR | 0666U);
  EXPECT_EQ(StatOf(In("dev/null")).st_rdev, makedev(1, 3));
  EXPECT_EQ(StatOf(In("dev/sda")).st_mode, S_IFBLK | 0660U);
  EXPECT_EQ(StatOf(In("dev/sda")).st_gid, 6U);
  EXPECT_EQ(StatOf(In("run/pipe")).st_mode, S_IFIFO | 0620U);
  EXPECT_EQ(StatOf(In("run/pipe")).st_uid, 3U);
  EXPECT_EQ(StatOf(In("run/pipe")).st_mtim.tv_sec, 1'600'000'000);
}

TEST_F(TarApplier, XattrsOfTheArchive) {
  // cap_net_raw+ep, revision 2.
  const std::string capability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  TarBuilder tar;
  tar.Add({.name = "ping",
           .data = "elf",
           .mode = 0755,
           .uid = 12,
           .pax = {{"SCHILY.xattr.security.capability", capability},
                   {"SCHILY.xattr.user.note", "kept"},
                   {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
                   {"SCHILY.xattr.trusted.overlay.metacopy", ""},
                   {"SCHILY.xattr.trusted.other", "no"}}});
  tar.Add({.name = "dir",
           .type = '5',
           .mode = 0755,
           .pax = {{"SCHILY.xattr.trusted.overlay.opaque", "y"}}});
  tar.Add({.name = "link",
           .type = '2',
           .link = "ping",
           .pax = {{"SCHILY.xattr.user.note", "symlinks have none"}}});
  ASSERT_TRUE(Apply(tar).ok()) << message_;
  EXPECT_EQ(Xattr(In("ping"), "security.capability"), capability);
  EXPECT_EQ(Xattr(In("ping"), "user.note"), "kept");
  EXPECT_EQ(Xattr(In("ping"), "trusted.overlay.redirect"), "");
  EXPECT_EQ(Xattr(In("ping"), "trusted.other"), "");
  EXPECT_EQ(Xattr(In("dir"), "trusted.overlay.opaque"), "");
  EXPECT_TRUE(S_ISLNK(StatOf(In("link")).st_mode));
}

TEST_F(TarApplier, NamesAreBytes) {
  const std::string latin1 = "caf\xe9";           // not UTF-8
  const std::string decomposed = "cafe\xcc\x81";  // must not be normalised
  const std::string composed = "caf\xc3\xa9";
  for (const char* locale : {"C", "C.UTF-8"}) {
    SCOPED_TRACE(locale);
    setlocale(LC_ALL, locale);
    TarBuilder tar;
    tar.File(latin1, "1");
    tar.Add({.name = "p1", .data = "2", .pax = {{"path", "pax-" + latin1}}});
    tar.Add({.name = "p2", .data = "3", .pax = {{"path", decomposed}}});
    tar.Add({.name = "p3", .data = "4", .pax = {{"path", composed}}});
    tar.Add({.name = "p4", .type = '2', .link = "?", .pax = {{"linkpath", latin1}}});
    tar.Add({.name = "p5", .type = '1', .link = "?", .pax = {{"linkpath", decomposed}}});
    const absl::Status status = Apply(tar);
    setlocale(LC_ALL, "C");
    ASSERT_TRUE(status.ok()) << Message(status);
    EXPECT_EQ(Text(In(latin1)), "1");
    EXPECT_EQ(Text(In("pax-" + latin1)), "2");
    EXPECT_EQ(Text(In(decomposed)), "3");
    EXPECT_EQ(Text(In(composed)), "4");
    EXPECT_EQ(Text(In("p4")), "1");
    EXPECT_EQ(StatOf(In("p5")).st_ino, StatOf(In(decomposed)).st_ino);
    ASSERT_TRUE(RemoveTree(dir_ / "layer").ok());
  }
}

TEST_F(TarApplier, LongNamesAndLinks) {
  std::string path;
  for (int i = 0; i < 10; ++i) {
    path += std::string(200, static_cast<char>('a' + i)) + "/";
  }
  const std::string target(1000, 't');
  ASSERT_TRUE(Apply(TarBuilder()
                        .Add({.name = "x", .data = "deep", .pax = {{"path", path + "file"}}})
                        .Add({.name = "l", .type = '2', .link = "?", .pax = {{"linkpath", target}}})
                        // GNU's way
                        .Add({.name = "././@LongLink", .type = 'L', .data = path + "gnu"})
                        .File("cut", "gnu"))
                  .ok())
      << message_;
  EXPECT_EQ(Text(In(path + "file")), "deep");
  EXPECT_EQ(Text(In(path + "gnu")), "gnu");
  EXPECT_EQ(StatOf(In("l")).st_size, 1000);
}

// What Go's writer makes of a link to a name without any ASCII: nothing in the link field.
TEST_F(TarApplier, LinksThatOnlyTheExtendedHeaderNames) {
  TarBuilder tar;
  tar.File("\xe6\x96\x87", "body");
  tar.Add({.name = "sym", .type = '2', .pax = {{"linkpath", "\xe6\x96\x87"}, {"mtime", "1.5"}}});
  tar.Add({.name = "hard", .type = '1', .pax = {{"linkpath", "\xe6\x96\x87"}}});
  tar.Add({.name = "empty", .pax = {{"linkpath", "not for a file"}}});
  for (const size_t portion : {1UL, 100UL, 512UL, 3000UL, 100000UL}) {
    SCOPED_TRACE(portion);
    ASSERT_TRUE(Apply(tar.Finish(), portion).ok()) << message_;
    EXPECT_TRUE(S_ISLNK(StatOf(In("sym")).st_mode));
    EXPECT_EQ(Text(In("sym")), "body");
    EXPECT_EQ(StatOf(In("hard")).st_ino, StatOf(In("\xe6\x96\x87")).st_ino);
    EXPECT_TRUE(S_ISREG(StatOf(In("empty")).st_mode));
    EXPECT_EQ(Text(In("empty")), "");
    ASSERT_TRUE(RemoveTree(dir_ / "layer").ok());
  }
}

TEST_F(TarApplier, SparseFileKeepsItsHoles) {
  // pax format 0.1: 2 MiB with 4 bytes at the start and 4 at 1 MiB.
  limits_.max_bytes = 100;
  TarBuilder tar;
  tar.Add({.name = "sparse",
           .data = "HEADMIDD",
           .pax = {{"GNU.sparse.major", "0"},
                   {"GNU.sparse.minor", "1"},
                   {"GNU.sparse.name", "sparse"},
                   {"GNU.sparse.size", "2097152"},
                   {"GNU.sparse.numblocks", "2"},
                   {"GNU.sparse.map", "0,4,1048576,4"}}});
  ASSERT_TRUE(Apply(tar).ok()) << message_;
  const struct stat st = StatOf(In("sparse"));
  EXPECT_EQ(st.st_size, 2097152);
  EXPECT_LE(st.st_blocks * 512, 64 * 1024) << "holes take no space";
  const std::string text = Text(In("sparse"));
  EXPECT_EQ(text.substr(0, 4), "HEAD");
  EXPECT_EQ(text.substr(1048576, 4), "MIDD");
  EXPECT_EQ(text[5], '\0');
}

TEST_F(TarApplier, Limits) {
  limits_ = {.max_bytes = 10, .max_files = 1000};
  absl::Status status = Apply(TarBuilder().File("a", "12345").File("b", "123456"));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << Message(status);
  limits_ = {.max_bytes = 1000, .max_files = 2};
  status = Apply(TarBuilder().File("n1/n2/n3"));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << "parents count";
  limits_ = {.max_bytes = 8, .max_files = 10};
  EXPECT_TRUE(Apply(TarBuilder().File("same", "12345").File("same", "12345")).ok())
      << "what was replaced does not count";
}

TEST_F(TarApplier, TruncatedAnywhereIsAnError) {
  const std::string tar = TarBuilder().Dir("d").File("d/f", std::string(3000, 'x')).Finish();
  for (const size_t length : {100UL, 700UL, 1024UL + 100, 1536UL + 1, 4000UL}) {
    const absl::Status status = Apply(tar.substr(0, length));
    EXPECT_FALSE(status.ok()) << length;
  }
  EXPECT_EQ(Apply(tar.substr(0, 4000)).code(), absl::StatusCode::kDataLoss);
}

TEST_F(TarApplier, PortionsOfEverySize) {
  const std::string tar =
      TarBuilder().Dir("d").File("d/f", std::string(3000, 'x')).File("g", "y").Finish();
  for (const size_t portion : {1UL, 7UL, 511UL, 512UL, 513UL, 100000UL}) {
    ASSERT_TRUE(Apply(tar, portion).ok()) << portion;
    EXPECT_EQ(Text(In("d/f")), std::string(3000, 'x'));
    ASSERT_TRUE(RemoveTree(dir_ / "layer").ok());
  }
}

TEST_F(TarApplier, EmptyAndGarbage) {
  EXPECT_TRUE(Apply(TarBuilder()).ok());
  EXPECT_TRUE(Apply(std::string()).ok());
  EXPECT_EQ(Apply(std::string(4096, 'g')).code(), absl::StatusCode::kInvalidArgument);
  std::string damaged = TarBuilder().File("a", "1").File("b", "2").Finish();
  damaged[1024 + 5] ^= 0x55;  // the name in the second header: its checksum fails
  EXPECT_EQ(Apply(damaged).code(), absl::StatusCode::kInvalidArgument);
}

// Deterministic damage: whatever the bytes say, nothing appears outside and nothing crashes.
TEST_F(TarApplier, RandomDamageStaysInside) {
  ASSERT_EQ(mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, nullptr), 0);
  TarBuilder tar;
  tar.Dir("d").File("d/f", "12345").Symlink("d/l", "/etc").Hardlink("h", "d/f").File("d/.wh.x");
  tar.Add({.name = "p", .data = "body", .pax = {{"path", "pax/name"}, {"mtime", "1.5"}}});
  const std::string clean = tar.Finish();
  uint64_t random = 88172645463325252ULL;
  for (int round = 0; round < 1000; ++round) {
    std::string damaged = clean;
    for (int i = 0; i < 3; ++i) {
      random ^= random << 13U;
      random ^= random >> 7U;
      random ^= random << 17U;
      damaged[random % damaged.size()] = static_cast<char>(random >> 40U);
    }
    (void)Apply(damaged);
    ASSERT_TRUE(RemoveTree(dir_ / "layer").ok());
    ASSERT_TRUE(ListDir(dir_.path())->empty());
  }
}

}  // namespace
}  // namespace davit::storage
