// SPDX-License-Identifier: Apache-2.0
#include "storage/implied_dirs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ImpliedDirs : public StoreTest {
 protected:
  // Root file system of an image of these layers, lowest first.
  std::string Mount(const std::vector<std::string>& tars) {
    EXPECT_TRUE(Image('a', tars, {}).ok());
    const absl::Status made = store_->CreateRootfs("c1", ImageId('a'));
    EXPECT_TRUE(made.ok()) << Message(made);
    const auto root = store_->MountRootfs("c1", {});
    EXPECT_TRUE(root.ok()) << Message(root.status());
    return root.ok() ? *root : "";
  }
};

TEST_F(ImpliedDirs, AreAsTheLayerBelowSays) {
  TarBuilder base;
  base.Add({.name = "tmp", .type = '5', .mode = 01777, .mtime = 1'234'567});
  base.Add({.name = "var", .type = '5', .mode = 0710, .gid = 3, .mtime = 7'654'321});
  base.Add({.name = "var/mail",
            .type = '5',
            .mode = 02775,
            .gid = 8,
            .mtime = 1'111'111,
            .pax = {{"SCHILY.xattr.user.note", "kept"}}});
  const std::string root = Mount({base.Finish(), TarBuilder().File("other").Finish(),
                                  TarBuilder().File("tmp/x").File("var/mail/a/b").Finish()});
  EXPECT_EQ(StatOf(root + "/tmp").st_mode & 07777U, 01777U);
  EXPECT_EQ(StatOf(root + "/tmp").st_mtim.tv_sec, 1'234'567);
  EXPECT_TRUE(PathExists(root + "/tmp/x"));
  EXPECT_EQ(StatOf(root + "/var").st_mode & 07777U, 0710U);
  EXPECT_EQ(StatOf(root + "/var").st_mtim.tv_sec, 7'654'321);
  EXPECT_EQ(StatOf(root + "/var/mail").st_mode & 07777U, 02775U);
  EXPECT_EQ(StatOf(root + "/var/mail").st_gid, 8U);
  EXPECT_EQ(StatOf(root + "/var/mail").st_mtim.tv_sec, 1'111'111);
  EXPECT_EQ(Xattr(root + "/var/mail", "user.note"), "kept");
  EXPECT_EQ(StatOf(root + "/var/mail/a").st_mode & 07777U, 0755U) << "nobody says more";
  EXPECT_TRUE(PathExists(root + "/var/mail/a/b"));
}

TEST_F(ImpliedDirs, ButNotWhatALayerBetweenHides) {
  const std::string root = Mount(
      {TarBuilder()
           .Dir("gone", 0700)
           .Dir("opaque", 0700)
           .Dir("file", 0700)
           .Dir("up/gone", 0700)
           .Finish(),
       TarBuilder()
           .File(".wh.gone")
           .Dir("opaque", 0711)
           .File("opaque/.wh..wh..opq")
           .File("file")
           .File(".wh.up")
           .Finish(),
       TarBuilder().File("gone/x").File("opaque/x").File("file/x").File("up/gone/x").Finish()});
  EXPECT_EQ(StatOf(root + "/gone").st_mode & 07777U, 0755U);
  EXPECT_EQ(StatOf(root + "/opaque").st_mode & 07777U, 0711U);
  EXPECT_EQ(StatOf(root + "/file").st_mode & 07777U, 0755U);
  EXPECT_EQ(StatOf(root + "/up/gone").st_mode & 07777U, 0755U);
}

TEST_F(ImpliedDirs, AnEntryOfTheSameLayerWins) {
  const std::string root = Mount(
      {TarBuilder().Dir("d", 0700).Finish(), TarBuilder().File("d/x").Dir("d", 0750).Finish()});
  EXPECT_EQ(StatOf(root + "/d").st_mode & 07777U, 0750U);
  EXPECT_THAT(*ListDir(paths().Upper("c1")), IsEmpty()) << "nothing to be done";
}

// The list is what a process wrote that has read foreign bytes.
TEST_F(ImpliedDirs, HostileListsAreRead) {
  const std::string layer = dir_ / "l";
  ASSERT_TRUE(MakeDirs(layer).ok());
  EXPECT_THAT(*ReadImpliedDirs(layer), IsEmpty());
  ASSERT_TRUE(
      WriteFileAtomic(layer + "/implied", std::string("../../etc\0/abs\0\0a/../b\0ok/d\0", 29))
          .ok());
  EXPECT_THAT(*ReadImpliedDirs(layer), ElementsAre("abs", "ok/d"));
  ASSERT_EQ(unlink((layer + "/implied").c_str()), 0);
  ASSERT_EQ(symlink("/etc/passwd", (layer + "/implied").c_str()), 0);
  EXPECT_THAT(*ReadImpliedDirs(layer), IsEmpty()) << "it stays within the layer";
  ASSERT_EQ(unlink((layer + "/implied").c_str()), 0);
  ASSERT_EQ(mkfifo((layer + "/implied").c_str(), 0600), 0);
  EXPECT_FALSE(ReadImpliedDirs(layer).ok());
  // A symlink in a layer below leads nowhere.
  ASSERT_TRUE(MakeDirs(dir_ / "top/a/b").ok() && MakeDirs(dir_ / "low").ok() &&
              MakeDirs(dir_ / "upper").ok());
  ASSERT_EQ(symlink("/etc", (dir_ / "low/a").c_str()), 0);
  EXPECT_TRUE(MakeImpliedDirs({{.diff = dir_ / "top", .implied = {"a", "a/b"}},
                               {.diff = dir_ / "low", .implied = {}}},
                              dir_ / "upper", {})
                  .ok());
  EXPECT_THAT(*ListDir(dir_ / "upper"), IsEmpty());
}

}  // namespace
}  // namespace davit::storage
