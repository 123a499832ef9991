// SPDX-License-Identifier: Apache-2.0
#include "server/container/mount_sources.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"

namespace davit::server {
namespace {

class MountSourcesTest : public testing::Test {
 protected:
  MountSourcesTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "davit-sources-XXXXXX").string();
    dir_ = mkdtemp(pattern.data()) == nullptr ? "" : pattern;
  }
  ~MountSourcesTest() override { EXPECT_TRUE(RemoveTree(dir_).ok()); }

  absl::StatusOr<MountSources> Sources(const std::string& path,
                                       const std::vector<std::string>& to_reject = {}) {
    runtime::v1::ContainerConfig config;
    config.add_mounts()->set_host_path("/");
    config.add_mounts()->mutable_image()->set_image("an-image");
    config.add_mounts()->set_host_path(path);
    return OpenMountSources(config, to_reject);
  }
  absl::Status Make(const std::string& path, const std::vector<std::string>& to_reject = {}) {
    return Sources(path, to_reject).status();
  }

  std::string dir_;
};

TEST_F(MountSourcesTest, AreMadeAsDirectories) {
  const mode_t old = umask(077);
  const absl::Status made = Make(dir_ + "/a/b");
  umask(old);
  ASSERT_TRUE(made.ok()) << made;
  struct stat st {};
  ASSERT_EQ(stat((dir_ + "/a/b").c_str(), &st), 0);
  EXPECT_TRUE(S_ISDIR(st.st_mode));
  EXPECT_EQ(st.st_mode & 07777U, 0755U);
  EXPECT_TRUE(Make(dir_ + "/a/b").ok());
}

TEST_F(MountSourcesTest, AreNotMadeWhereTheNodeSaysSo) {
  const absl::Status refused = Make(dir_ + "/x//y", {"/other", dir_ + "/x/y"});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(Message(refused).find("mounts[2]"), std::string::npos) << refused;
  EXPECT_FALSE(PathExists(dir_ + "/x"));
}

TEST_F(MountSourcesTest, ThatLeadNowhereAreRefused) {
  ASSERT_EQ(symlink("nowhere", (dir_ + "/link").c_str()), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(Make(dir_ + "/link")));
  EXPECT_FALSE(PathExists(dir_ + "/nowhere"));
  // Judged later, where the whole mount is looked at.
  for (const std::string& path : {std::string("relative"), std::string(), std::string("/\0", 2)}) {
    const auto sources = Sources(path);
    ASSERT_TRUE(sources.ok()) << sources.status();
    EXPECT_EQ(sources->size(), 1U);
  }
}

TEST_F(MountSourcesTest, AreToldWithoutSymlinks) {
  ASSERT_TRUE(Make(dir_ + "/real").ok());
  ASSERT_EQ(symlink("real", (dir_ + "/link").c_str()), 0);
  const auto sources = Sources(dir_ + "/link");
  ASSERT_TRUE(sources.ok()) << sources.status();
  EXPECT_EQ(sources->size(), 2U);  // not the image
  EXPECT_EQ(sources->at(0).path, "/");
  EXPECT_EQ(sources->at(2).path, std::filesystem::canonical(dir_ + "/real").string());
  EXPECT_FALSE(sources->at(2).movable);
}

}  // namespace
}  // namespace davit::server
