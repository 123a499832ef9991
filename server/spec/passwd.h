// SPDX-License-Identifier: Apache-2.0
//
// /etc/passwd and /etc/group of an image: foreign bytes, read beneath the image's root and bounded.
// Lines that do not parse, and ids that no kernel interface takes, are skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::server::spec {

// The largest uid or gid taken from a request or an image: past it ids turn negative somewhere on
// the way and may end as 0.
constexpr int64_t kMaxId = 2147483647;

struct PasswdEntry {
  std::string name;
  int64_t uid = 0;
  int64_t gid = 0;
  std::string home;
};

struct GroupEntry {
  std::string name;
  int64_t gid = 0;
  std::vector<std::string> members;
};

std::vector<PasswdEntry> ParsePasswd(std::string_view text);
std::vector<GroupEntry> ParseGroup(std::string_view text);

// The text of a file beneath the root; "" if it does not exist or `root_fd` is -1.
absl::StatusOr<std::string> ReadAccountFile(int root_fd, const std::string& path);

}  // namespace davit::server::spec
