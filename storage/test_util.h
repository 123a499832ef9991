// SPDX-License-Identifier: Apache-2.0
//
// What the tests of this folder share: a writer of tar streams that will also write what no honest
// program writes, and a store in a directory of its own. Mounts are made in a mount namespace of
// the test program's own.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "base/db.h"
#include "storage/paths.h"
#include "storage/storage.h"

namespace davit::storage {

struct TestEntry {
  std::string name;
  char type = '0';  // ustar's: '0' file, '1' hard link, '2' symlink, '3' char, '5' directory …
  std::string data = {};
  std::string link = {};
  mode_t mode = 0644;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 1'600'000'000;
  uint32_t major = 0;
  uint32_t minor = 0;
  std::map<std::string, std::string> pax = {};  // extended header of this entry
};

class TarBuilder {
 public:
  TarBuilder& Add(const TestEntry& entry);
  TarBuilder& File(const std::string& name, const std::string& data = "") {
    return Add({.name = name, .data = data});
  }
  TarBuilder& Dir(const std::string& name, mode_t mode = 0755) {
    return Add({.name = name, .type = '5', .mode = mode});
  }
  TarBuilder& Symlink(const std::string& name, const std::string& target) {
    return Add({.name = name, .type = '2', .link = target, .mode = 0777});
  }
  TarBuilder& Hardlink(const std::string& name, const std::string& target) {
    return Add({.name = name, .type = '1', .link = target});
  }
  // Raw 512-byte header with its checksum, for entries that Add cannot make.
  TarBuilder& Raw(std::string_view bytes);
  // With the end marker.
  [[nodiscard]] std::string Finish() const;
  [[nodiscard]] const std::string& unfinished() const { return bytes_; }

 private:
  void Header(const TestEntry& entry, uint64_t size);
  std::string bytes_;
};

// Removed with everything below when it goes.
class TestDir {
 public:
  TestDir();
  ~TestDir();
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A store, its database and its directories. The test is skipped where it cannot run.
class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override;
  // Opens (again) what is in dir_.
  void OpenStore();
  void CloseStore();

  // Writes the tar in portions of `portion` bytes.
  absl::StatusOr<std::shared_ptr<PendingLayer>> Layer(const std::string& tar,
                                                      const Digest& expected = {},
                                                      const Digest& blob = {},
                                                      size_t portion = 100'000);
  // Applies each tar and commits an image of them. The ID is `digit` repeated.
  absl::Status Image(char digit, const std::vector<std::string>& tars,
                     const std::vector<std::string>& tags);
  static std::string ImageId(char digit) { return std::string(64, digit); }
  static Digest DiffId(const std::string& tar) { return Digest::Sha256Of(tar); }
  [[nodiscard]] Paths paths() const { return {options_.root, options_.run}; }
  // Names in layers/, to see what stays.
  [[nodiscard]] std::vector<std::string> LayerDirs() const;

  TestDir dir_;
  Options options_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<Storage> store_;
};

// Puts the calling (main) thread into a mount namespace of its own, once; false without root.
bool EnterTestNamespace();

struct stat StatOf(const std::string& path);                          // lstat; all zeros if missing
std::string Xattr(const std::string& path, const std::string& name);  // "" if missing
std::string Text(const std::string& path);                            // "(missing)" if missing

}  // namespace davit::storage
