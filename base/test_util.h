// SPDX-License-Identifier: Apache-2.0
//
// What unit tests share: a directory that goes with the test, and polling with a deadline.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"

#define EXPECT_OK(expr) EXPECT_EQ(davit::test::TextOf(expr), "")
#define ASSERT_OK(expr) ASSERT_EQ(davit::test::TextOf(expr), "")

namespace davit::test {

inline std::string TextOf(const absl::Status& status) {
  return status.ok() ? std::string() : status.ToString();
}
template <typename T>
std::string TextOf(const absl::StatusOr<T>& result) {
  return TextOf(result.status());
}

class TempDir {
 public:
  explicit TempDir(const std::string& parent = "/tmp") : path_(parent + "/davit-test-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr) << path_;
  }
  ~TempDir() { EXPECT_EQ(TextOf(RemoveTree(path_)), ""); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return JoinPath(path_, name);
  }

 private:
  std::string path_;
};

// True once `condition` holds; false after ten seconds without.
template <typename Condition>
bool Eventually(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline bool IsRoot() {
  return geteuid() == 0;
}

}  // namespace davit::test
