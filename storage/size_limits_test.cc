// SPDX-License-Identifier: Apache-2.0
#include "storage/size_limits.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using ::testing::HasSubstr;

// A store on a file system of its own with project quotas, if this machine can make one.
class QuotaTest : public StoreTest {
 protected:
  void SetUp() override {
    if (!EnterTestNamespace()) {
      GTEST_SKIP() << "needs root";
    }
    const std::string why = MountQuotaFs();
    if (!why.empty()) {
      GTEST_SKIP() << "no file system with project quotas can be made here: " << why;
    }
    StoreTest::SetUp();
  }
  void TearDown() override {
    CloseStore();
    EXPECT_TRUE(UnmountAllBelow(dir_.path()).ok());
  }

  // Why not, or "".
  std::string MountQuotaFs() {
    const std::string image = dir_ / "image";
    const int fd = open(image.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const bool sized = fd >= 0 && ftruncate(fd, off_t{512} << 20U) == 0;
    close(fd);
    if (!sized || !MakeDirs(dir_ / "root").ok()) {
      return "no image file";
    }
    struct Kind {
      std::vector<std::string> make;
      std::string option;
    };
    const std::vector<Kind> kinds = {
        {{"mkfs.ext4", "-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota"}, "prjquota"},
        {{"mkfs.xfs", "-q", "-f"}, "pquota"}};
    std::string why;
    for (const Kind& kind : kinds) {
      const std::string made = RunProgram(kind.make, image);
      const std::string mounted =
          made.empty() ? RunProgram({"mount", "-o", "loop," + kind.option, image}, dir_ / "root")
                       : made;
      if (mounted.empty() && ProjectQuota::Open(dir_ / "root").ok()) {
        return "";
      }
      why += kind.make[0] + ": " +
             (mounted.empty() ? Message(ProjectQuota::Open(dir_ / "root").status()) : mounted) +
             "; ";
      if (mounted.empty()) {
        (void)Unmount(dir_ / "root");
      }
    }
    return why;
  }

  static std::string RunProgram(std::vector<std::string> argv, const std::string& last) {
    const auto program = FindProgram(argv[0]);
    if (!program.ok()) {
      return Message(program.status());
    }
    argv[0] = *program;
    argv.push_back(last);
    Context ctx(std::chrono::seconds(60));
    const auto result = davit::Run(ctx, {.argv = argv, .env = MinimalEnv()});
    if (!result.ok()) {
      return Message(result.status());
    }
    return result->exit.code == 0 ? "" : "failed: " + result->err.substr(0, result->err.find('\n'));
  }

  // Bytes that fit into a new file.
  static size_t Fill(const std::string& path) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const std::string chunk(64U << 10U, 'f');
    size_t written = 0;
    while (written < (64U << 20U)) {
      const ssize_t count = write(fd, chunk.data(), chunk.size());
      if (count <= 0) {
        break;
      }
      written += static_cast<size_t>(count);
    }
    close(fd);
    return written;
  }
};

TEST_F(QuotaTest, LimitsWhatAContainerWrites) {
  ASSERT_TRUE(store_->SizeLimits().ok());
  ASSERT_TRUE(
      Image('a', {TarBuilder().File("lower", std::string(3U << 20U, 'l')).Finish()}, {}).ok());
  ASSERT_TRUE(
      store_->CreateRootfs("small", ImageId('a'), {.size_limit = 2U << 20U, .mappings = {}}).ok());
  ASSERT_TRUE(store_->CreateRootfs("free", ImageId('a')).ok());
  const auto small = store_->MountRootfs("small", {});
  const auto free = store_->MountRootfs("free", {});
  ASSERT_TRUE(small.ok() && free.ok());
  EXPECT_EQ(Text(*small + "/lower").size(), 3U << 20U) << "the image does not count";
  const size_t written = Fill(*small + "/f");
  EXPECT_GE(written, 1U << 20U);
  EXPECT_LE(written, 2U << 20U);
  EXPECT_GE(Fill(*free + "/f"), 8U << 20U);
  const auto usage = store_->RootfsUsage("small");
  ASSERT_TRUE(usage.ok());
  EXPECT_GE(usage->used_bytes, written);
  EXPECT_LE(usage->used_bytes, 2U << 20U);
}

TEST_F(QuotaTest, ProjectsAreKeptOverARestartAndFreed) {
  options_.rootfs_size = 1U << 20U;
  OpenStore();
  ASSERT_TRUE(Image('a', {}, {}).ok());
  ASSERT_TRUE(store_->CreateRootfs("c1", ImageId('a')).ok());
  ASSERT_TRUE(store_->CreateRootfs("c2", ImageId('a')).ok());
  EXPECT_EQ(*ProjectQuota::GetProject(paths().Upper("c1")), kFirstProject);
  EXPECT_EQ(*ProjectQuota::GetProject(paths().Upper("c2")), kFirstProject + 1);
  OpenStore();
  ASSERT_TRUE(store_->CreateRootfs("c3", ImageId('a')).ok());
  EXPECT_EQ(*ProjectQuota::GetProject(paths().Upper("c3")), kFirstProject + 2);
  ASSERT_TRUE(store_->RemoveRootfs("c1").ok());
  const auto quota = ProjectQuota::Open(options_.root);
  EXPECT_EQ(quota->Usage(kFirstProject)->byte_limit, 0U);
  EXPECT_EQ(quota->Usage(kFirstProject + 1)->byte_limit, 1U << 20U);
  ASSERT_TRUE(
      store_->CreateRootfs("c4", ImageId('a'), {.size_limit = 2U << 20U, .mappings = {}}).ok());
  EXPECT_EQ(*ProjectQuota::GetProject(paths().Upper("c4")), kFirstProject) << "it was free";
  EXPECT_EQ(quota->Usage(kFirstProject)->byte_limit, 2U << 20U);
}

// Where there are none the container runs without a limit.
class NoQuotaTest : public StoreTest {};

TEST_F(NoQuotaTest, SaysWhyAndGoesOn) {
  if (store_->SizeLimits().ok()) {
    GTEST_SKIP() << "this file system has project quotas";
  }
  EXPECT_EQ(store_->SizeLimits().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(store_->SizeLimits()), HasSubstr("prjquota"));
  ASSERT_TRUE(Image('a', {}, {}).ok());
  ASSERT_TRUE(
      store_->CreateRootfs("c1", ImageId('a'), {.size_limit = 1U << 20U, .mappings = {}}).ok());
  ASSERT_TRUE(store_->MountRootfs("c1", {}).ok());
  ASSERT_TRUE(store_->RootfsUsage("c1").ok());
}

}  // namespace
}  // namespace davit::storage
