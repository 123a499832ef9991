// SPDX-License-Identifier: Apache-2.0
//
// The same layers applied by us and by programs that others wrote: every path has the same type,
// mode, owner, time, attributes, links and content.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

constexpr time_t kNow = 1'700'000'000;  // entries are older

// What is compared, one line for each path. Inodes are numbered in the order of their first path.
class Tree {
 public:
  explicit Tree(const std::string& root) : root_(root) { Walk(""); }
  [[nodiscard]] const std::map<std::string, std::string>& lines() const { return lines_; }

 private:
  void Walk(const std::string& path) {
    const std::string full = root_ + path;
    struct stat st = StatOf(full);
    std::string line = fmt::format("{:o} {}:{}", st.st_mode, st.st_uid, st.st_gid);
    if (st.st_mtim.tv_sec < kNow) {  // else the archive does not say it
      line += fmt::format(" {}.{:09}", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }
    if (S_ISREG(st.st_mode)) {
      auto text = ReadFile(full, size_t{1} << 30U);
      line += fmt::format(" size {} {}", st.st_size,
                          text.ok() ? Digest::Sha256Of(*text).text() : Message(text.status()));
    } else if (S_ISLNK(st.st_mode)) {
      std::error_code error;
      line += " -> " + std::filesystem::read_symlink(full, error).string();
    } else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
      line += fmt::format(" device {}:{}", major(st.st_rdev), minor(st.st_rdev));
    }
    if (!S_ISDIR(st.st_mode)) {
      const size_t next = inodes_.size();
      // Not st_nlink: overlay counts links that a layer above has deleted.
      line += fmt::format(" inode {}", inodes_.try_emplace(st.st_ino, next).first->second);
    }
    lines_[path.empty() ? "/" : path] = line + Xattrs(full);
    if (S_ISDIR(st.st_mode)) {
      const auto names = ListDir(full);
      for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        Walk(path + "/" + name);
      }
    }
  }

  static std::string Xattrs(const std::string& full) {
    std::string names(1U << 16U, '\0');
    const ssize_t size = llistxattr(full.c_str(), names.data(), names.size());
    std::map<std::string, std::string> values;
    for (const std::string& name :
         Split(std::string_view(names.data(), size < 0 ? 0 : static_cast<size_t>(size)), '\0')) {
      if (!name.empty() && !name.starts_with("trusted.")) {
        values[name] = Xattr(full, name);
      }
    }
    std::string text;
    for (const auto& [name, value] : values) {
      text += " " + name + "=" + Digest::Sha256Of(value).hex().substr(0, 12);
    }
    return text;
  }

  const std::string root_;
  std::map<std::string, std::string> lines_;
  std::map<ino_t, size_t> inodes_;
};

std::vector<std::string> Layers() {
  const std::string capability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  TarBuilder base;
  base.Add({.name = "./", .type = '5', .mode = 0711, .mtime = 1'111'111'111});
  base.Add({.name = "tmp", .type = '5', .mode = 01777, .mtime = 1'222'222'222});
  base.Add({.name = "var/", .type = '5', .mode = 02775, .gid = 50, .mtime = 1'333'333'333});
  base.Add({.name = "var/data", .data = "var", .mode = 0640, .uid = 33, .gid = 50});
  base.Dir("usr").Dir("usr/bin").Dir("usr/lib");
  base.Add({.name = "usr/bin/su", .data = "set-user-ID", .mode = 04755});
  base.Add({.name = "usr/bin/wall", .data = "set-group-ID", .mode = 02755, .gid = 5});
  base.Add({.name = "usr/bin/ping",
            .data = "capability",
            .mode = 0755,
            .pax = {{"SCHILY.xattr.security.capability", capability}}});
  base.Add({.name = "usr/lib/note",
            .data = "note",
            .pax = {{"SCHILY.xattr.user.note", "value"}, {"mtime", "1234567890.123456789"}}});
  base.Hardlink("usr/bin/sg", "usr/bin/su").Symlink("usr/lib64", "lib").Symlink("abs", "/usr/bin");
  base.File("replaced/file", "1").Dir("dir-to-file").File("dir-to-file/in", "1");
  base.File("file-to-dir", "1").Dir("opaque").File("opaque/old", "1").Dir("gone").File("gone/in");
  base.File("deleted", "1").File("linked/a", "same").Hardlink("linked/b", "linked/a");
  base.Add({.name = "dev/null", .type = '3', .mode = 0666, .major = 1, .minor = 3});
  base.Add({.name = "fifo", .type = '6', .mode = 0600});
  base.File("latin1-\xe9", "bytes").File(std::string(90, 'n') + "/" + "deep", "x");
  TarBuilder middle;
  middle.File("tmp/x", "in tmp").File("var/more", "2").File("replaced/file", "2");
  middle.File("dir-to-file", "now a file").Dir("file-to-dir").File("file-to-dir/in", "2");
  middle.Dir("opaque", 0700).File("opaque/.wh..wh..opq").File("opaque/new", "2");
  middle.File(".wh.deleted").File(".wh.gone").File("linked/.wh.a");
  TarBuilder top;
  top.Dir("gone", 0750).File("gone/back", "3").File("deleted", "again").File("usr/bin/.wh.su");
  top.Add({.name = "var", .type = '5', .mode = 0755, .mtime = 1'444'444'444});
  return {base.Finish(), middle.Finish(), top.Finish()};
}

class PeerTest : public StoreTest {
 protected:
  std::string Command(std::vector<std::string> argv) {
    const auto program = FindProgram(argv[0]);
    if (!program.ok()) {
      return Message(program.status());
    }
    argv[0] = *program;
    Context ctx(std::chrono::seconds(60));
    const auto result = davit::Run(ctx, {.argv = argv, .env = MinimalEnv()});
    if (!result.ok()) {
      return Message(result.status());
    }
    return result->exit.code == 0 ? "" : result->out + result->err;
  }

  static void ExpectSame(const Tree& ours, const Tree& theirs) {
    for (const auto& [path, line] : theirs.lines()) {
      const auto found = ours.lines().find(path);
      EXPECT_EQ(found == ours.lines().end() ? "(missing)" : found->second, line) << Printable(path);
    }
    for (const auto& [path, line] : ours.lines()) {
      EXPECT_TRUE(theirs.lines().contains(path)) << Printable(path) << " is ours alone";
    }
  }
};

TEST_F(PeerTest, UmociMakesTheSameOfIt) {
  if (!FindProgram("umoci").ok()) {
    GTEST_SKIP() << "needs umoci";
  }
  const std::string image = dir_ / "oci:t";
  ASSERT_EQ(Command({"umoci", "init", "--layout", dir_ / "oci"}), "");
  ASSERT_EQ(Command({"umoci", "new", "--image", image}), "");
  const std::vector<std::string> layers = Layers();
  for (const std::string& layer : layers) {
    ASSERT_TRUE(WriteFileAtomic(dir_ / "layer.tar", layer).ok());
    ASSERT_EQ(Command({"umoci", "raw", "add-layer", "--image", image, dir_ / "layer.tar"}), "");
  }
  ASSERT_EQ(Command({"umoci", "unpack", "--image", image, dir_ / "bundle"}), "");
  ASSERT_TRUE(Image('a', layers, {}).ok());
  ASSERT_TRUE(store_->CreateRootfs("c1", ImageId('a')).ok());
  const auto root = store_->MountRootfs("c1", {});
  ASSERT_TRUE(root.ok()) << Message(root.status());
  const Tree ours(*root);
  EXPECT_GT(ours.lines().size(), 30U);
  ExpectSame(ours, Tree(dir_ / "bundle/rootfs"));
}

}  // namespace
}  // namespace davit::storage
