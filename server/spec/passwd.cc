// SPDX-License-Identifier: Apache-2.0
#include "server/spec/passwd.h"

#include "base/rooted_path.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::spec {
namespace {

constexpr size_t kMaxAccountFile = 4U << 20U;

std::optional<int64_t> ParseId(std::string_view text) {
  const std::optional<int64_t> id = ParseInt(text);
  return id && *id >= 0 && *id <= kMaxId ? id : std::nullopt;
}

}  // namespace

std::vector<PasswdEntry> ParsePasswd(std::string_view text) {
  std::vector<PasswdEntry> entries;
  for (const std::string& line : Split(text, '\n')) {
    const std::vector<std::string> fields = Split(Trim(line), ':');
    if (fields.size() < 4 || fields[0].empty() || fields[0][0] == '#') {
      continue;
    }
    const std::optional<int64_t> uid = ParseId(fields[2]);
    const std::optional<int64_t> gid = ParseId(fields[3]);
    if (uid && gid) {
      entries.push_back({fields[0], *uid, *gid, fields.size() > 5 ? fields[5] : ""});
    }
  }
  return entries;
}

std::vector<GroupEntry> ParseGroup(std::string_view text) {
  std::vector<GroupEntry> entries;
  for (const std::string& line : Split(text, '\n')) {
    const std::vector<std::string> fields = Split(Trim(line), ':');
    if (fields.size() < 3 || fields[0].empty() || fields[0][0] == '#') {
      continue;
    }
    if (const std::optional<int64_t> gid = ParseId(fields[2])) {
      entries.push_back({fields[0], *gid,
                         fields.size() > 3 ? Split(fields[3], ',') : std::vector<std::string>()});
    }
  }
  return entries;
}

absl::StatusOr<std::string> ReadAccountFile(int root_fd, const std::string& path) {
  if (root_fd < 0) {
    return std::string();
  }
  absl::StatusOr<std::string> text = ReadFileInRoot(root_fd, path, kMaxAccountFile);
  if (absl::IsNotFound(text.status())) {
    return std::string();
  }
  if (!text.ok()) {
    return Annotate(text.status(), "image file " + path);
  }
  return text;
}

}  // namespace davit::server::spec
