// SPDX-License-Identifier: Apache-2.0
//
// The order in which a commit reaches the disk: what a power cut would make of it. The functions of
// libc that matter are replaced by ones that keep a record.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/test_util.h"

namespace {

std::mutex record_mutex;
bool recording = false;
std::vector<std::string>& Record() {
  static std::vector<std::string> record;
  return record;
}

void Note(const std::string& what) {
  const std::lock_guard<std::mutex> lock(record_mutex);
  if (recording) {
    Record().push_back(what);
  }
}

// The last component of what the descriptor is of.
std::string NameOf(int fd) {
  char target[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = readlink(link.c_str(), target, sizeof target);
  const std::string path(target, size > 0 ? static_cast<size_t>(size) : 0);
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

extern "C" {

int syncfs(int fd) {
  Note("syncfs");
  return static_cast<int>(syscall(SYS_syncfs, fd));
}
int fsync(int fd) {
  Note("fsync " + NameOf(fd));
  return static_cast<int>(syscall(SYS_fsync, fd));
}
int fdatasync(int fd) {
  Note("fsync " + NameOf(fd));
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}
int rename(const char* from, const char* to) noexcept {
  Note("rename");
  return static_cast<int>(syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}
}

namespace davit::storage {
namespace {

using ::testing::ElementsAre;

class DurabilityTest : public StoreTest {
 protected:
  std::vector<std::string> Steps(const std::function<void()>& body) {
    {
      const std::lock_guard<std::mutex> lock(record_mutex);
      Record().clear();
      recording = true;
    }
    body();
    const std::lock_guard<std::mutex> lock(record_mutex);
    recording = false;
    return Record();
  }
};

TEST_F(DurabilityTest, DataThenNamesThenRecord) {
  options_.sync = true;
  OpenStore();
  const std::vector<std::string> steps = Steps(
      [this] { ASSERT_TRUE(Image('a', {TarBuilder().File("f", "1").Finish()}, {"r/a:1"}).ok()); });
  // SQLite syncs its log more than once, and the directory when the log is new.
  const auto at = [&steps](const std::string& step) {
    return std::find(steps.begin(), steps.end(), step) - steps.begin();
  };
  EXPECT_THAT(std::vector<std::string>(steps.begin(), steps.begin() + 3),
              ElementsAre("syncfs", "rename", "fsync layers"));
  EXPECT_GE(at("fsync davit.db-wal"), 3);
  EXPECT_EQ(steps.back(), "fsync davit.db-wal");
}

TEST_F(DurabilityTest, RecordGoesBeforeTheNames) {
  ASSERT_TRUE(Image('a', {TarBuilder().File("f", "1").Finish()}, {"r/a:1"}).ok());
  const std::vector<std::string> steps =
      Steps([this] { ASSERT_TRUE(store_->RemoveImage(ImageId('a')).ok()); });
  EXPECT_EQ(steps.front(), "fsync davit.db-wal");
  EXPECT_EQ(steps.back(), "rename");
}

}  // namespace
}  // namespace davit::storage
