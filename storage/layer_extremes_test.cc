// SPDX-License-Identifier: Apache-2.0
//
// Layers at the edge of what images hold: each is applied, committed, compared in full with its
// digest, and read through the mount of its image.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

class LayerExtremes : public StoreTest, public CheckObserver {
 protected:
  void Found(const CheckFinding& finding) override {
    if (!finding.object.starts_with("image ")) {  // Image() gives any ID
      ADD_FAILURE() << finding.object << ": " << finding.text;
    }
  }

  // An image of this layer, found good by a full check.
  void Commit(const std::string& tar) {
    const absl::Status status = Image('a', {tar}, {"image:1"});
    ASSERT_TRUE(status.ok()) << Message(status);
    Context ctx;
    const auto report = store_->Check(ctx, {.full = true, .repair = false}, *this);
    ASSERT_TRUE(report.ok()) << Message(report.status());
    EXPECT_EQ(report->layers_by_content, 1U);
  }
  [[nodiscard]] std::string In(const std::string& tar, const std::string& name) const {
    return paths().Diff(DiffId(tar)) + "/" + name;
  }
  // Goes down component by component: the whole may be longer than a path can be.
  static absl::StatusOr<UniqueFd> OpenDeep(int root_fd, const std::string& path) {
    UniqueFd at(fcntl(root_fd, F_DUPFD_CLOEXEC, 0));
    for (const std::string& part : Split(path, '/')) {
      UniqueFd next(openat(at.get(), part.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      if (!next.valid()) {
        return ErrnoStatus(errno, "open " + part);
      }
      at = std::move(next);
    }
    return at;
  }
};

// As the kernel keeps them in an attribute: version 2, then tag, permissions and ID.
std::string Acl(const std::vector<std::array<uint32_t, 3>>& entries) {
  std::string bytes("\2\0\0\0", 4);
  const auto add = [&bytes](uint32_t value, int width) {
    for (int i = 0; i < width; ++i) {
      bytes += static_cast<char>(value >> (8 * i) & 0xffU);
    }
  };
  for (const auto& [tag, permissions, id] : entries) {
    add(tag, 2);
    add(permissions, 2);
    add(id, 4);
  }
  return bytes;
}

TEST_F(LayerExtremes, AccessControlLists) {
  constexpr uint32_t kNobody = UINT32_MAX;
  // user::rw- user:1000:rw- group::r-- mask::rw- other::---
  const std::string access =
      Acl({{1, 6, kNobody}, {2, 6, 1000}, {4, 4, kNobody}, {0x10, 6, kNobody}, {0x20, 0, kNobody}});
  // user::rwx user:1000:rwx group::r-x mask::rwx other::---
  const std::string inherited =
      Acl({{1, 7, kNobody}, {2, 7, 1000}, {4, 5, kNobody}, {0x10, 7, kNobody}, {0x20, 0, kNobody}});
  TarBuilder tar;
  tar.Dir("./");
  tar.Add({.name = "secret",
           .data = "s",
           .mode = 0660,
           .uid = 7,
           .pax = {{"SCHILY.xattr.system.posix_acl_access", access}}});
  tar.Add({.name = "dir/",
           .type = '5',
           .mode = 0750,
           .pax = {{"SCHILY.xattr.system.posix_acl_default", inherited}}});
  tar.Add({.name = "dir/plain", .data = "p", .mode = 0644});
  tar.Add({.name = "dir/sub/", .type = '5', .mode = 0755});
  const std::string layer = tar.Finish();
  ASSERT_NO_FATAL_FAILURE(Commit(layer));
  if (Xattr(In(layer, "secret"), "system.posix_acl_access").empty()) {
    GTEST_SKIP() << "the file system of the tests keeps no ACLs";
  }
  EXPECT_EQ(Xattr(In(layer, "secret"), "system.posix_acl_access"), access);
  EXPECT_EQ(StatOf(In(layer, "secret")).st_mode & 07777U, 0660U);
  EXPECT_EQ(StatOf(In(layer, "secret")).st_uid, 7U);
  EXPECT_EQ(Xattr(In(layer, "dir"), "system.posix_acl_default"), inherited);
  // What the tar does not give it, it does not inherit either.
  EXPECT_EQ(Xattr(In(layer, "dir/plain"), "system.posix_acl_access"), "");
  EXPECT_EQ(StatOf(In(layer, "dir/plain")).st_mode & 07777U, 0644U);
  EXPECT_EQ(Xattr(In(layer, "dir/sub"), "system.posix_acl_default"), "");
  EXPECT_EQ(StatOf(In(layer, "dir/sub")).st_mode & 07777U, 0755U);
}

TEST_F(LayerExtremes, AHundredThousandFiles) {
  constexpr int kDirs = 100;
  constexpr int kFiles = 1000;
  TarBuilder tar;
  tar.Dir("./");
  for (int i = 0; i < kDirs; ++i) {
    const std::string dir = fmt::format("d{}/", i);
    tar.Dir(dir);
    for (int j = 0; j < kFiles; ++j) {
      tar.File(fmt::format("{}f{}", dir, j), j % 10 == 0 ? "content" : "");
    }
  }
  const std::string layer = tar.Finish();
  ASSERT_NO_FATAL_FAILURE(Commit(layer));
  EXPECT_EQ(store_->ImageFsUsage().inodes_used, kDirs * kFiles + kDirs);
  EXPECT_EQ(Text(In(layer, "d99/f990")), "content");
  // Measured, it is what the disk says: the layer's own directory and its recipe, too.
  ASSERT_TRUE(store_->MeasureLayers().ok());
  const FsUsage usage = store_->ImageFsUsage();
  EXPECT_GE(usage.inodes_used, kDirs * kFiles + kDirs + 3U);
  EXPECT_GE(usage.used_bytes, kDirs * 4096U) << "directories take space";
  CloseStore();
  OpenStore();
  EXPECT_EQ(store_->ImageFsUsage().inodes_used, usage.inodes_used);
  EXPECT_EQ(store_->ImageFsUsage().used_bytes, usage.used_bytes);
  ASSERT_TRUE(store_->RemoveImage(ImageId('a')).ok());
  store_->AwaitDeletions();
  EXPECT_THAT(LayerDirs(), testing::IsEmpty());
}

TEST_F(LayerExtremes, PathsAsLongAsTheKernelTakesThem) {
  constexpr size_t kLongest = 4095;
  std::string path;
  while (path.size() + 201 < kLongest - 1) {
    path += std::string(200, 'd') + "/";
  }
  path += std::string(kLongest - path.size(), 'f');
  ASSERT_EQ(path.size(), kLongest);
  TarBuilder tar;
  tar.Add({.name = "x", .data = "deep", .pax = {{"path", path}}});
  tar.Add({.name = "l", .type = '1', .link = "?", .pax = {{"linkpath", path}}});
  ASSERT_NO_FATAL_FAILURE(Commit(tar.Finish()));
  const absl::Status status = store_->WithImageRoot(ImageId('a'), [&](int root) -> absl::Status {
    ASSIGN_OR_RETURN(const UniqueFd file, OpenDeep(root, path));
    char text[8] = {};
    EXPECT_EQ(read(file.get(), text, sizeof text), 4);
    EXPECT_STREQ(text, "deep");
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << Message(status);
}

TEST_F(LayerExtremes, SparseFilesAndNamesThatAreNoText) {
  const std::string name = "caf\xe9-\xff\x01\n";
  TarBuilder tar;
  tar.Dir("./").File(name, "bytes").Symlink("to", name).Hardlink("same", name);
  tar.Add({.name = "hole",
           .data = "HEADTAIL",
           .pax = {{"GNU.sparse.major", "0"},
                   {"GNU.sparse.minor", "1"},
                   {"GNU.sparse.name", "hole"},
                   {"GNU.sparse.size", "1073741824"},
                   {"GNU.sparse.numblocks", "2"},
                   {"GNU.sparse.map", "0,4,1073741820,4"}}});
  const std::string layer = tar.Finish();
  ASSERT_NO_FATAL_FAILURE(Commit(layer));
  const struct stat hole = StatOf(In(layer, "hole"));
  EXPECT_EQ(hole.st_size, 1'073'741'824);
  EXPECT_LE(hole.st_blocks * 512, 64 * 1024);
  EXPECT_EQ(Text(In(layer, name)), "bytes");
  EXPECT_EQ(Text(In(layer, "to")), "bytes");
  EXPECT_EQ(StatOf(In(layer, "same")).st_ino, StatOf(In(layer, name)).st_ino);
}

}  // namespace
}  // namespace davit::storage
