// SPDX-License-Identifier: Apache-2.0
#include "server/stats/process_counts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"

namespace davit::server {
namespace {

constexpr std::string_view kSocket = "socket:";

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
using DirPtr = std::unique_ptr<DIR, CloseDir>;

bool IsSocket(int dir_fd, const char* name) {
  std::array<char, kSocket.size()> target{};  // the kernel cuts what is longer
  const ssize_t length = readlinkat(dir_fd, name, target.data(), target.size());
  return length > 0 && std::string_view(target.data(), static_cast<size_t>(length)) == kSocket;
}

void CountOne(int pid, ProcessCounts& counts) {
  auto fd = Open("/proc/" + std::to_string(pid) + "/fd", O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) {
    return;
  }
  const int dir_fd = fd->Release();
  const DirPtr dir(fdopendir(dir_fd));
  if (!dir) {
    close(dir_fd);
    return;
  }
  while (const dirent* entry = readdir(dir.get())) {  // NOLINT(concurrency-mt-unsafe): own stream
    if (entry->d_name[0] == '.') {
      continue;
    }
    ++counts.descriptors;
    counts.sockets += IsSocket(dir_fd, entry->d_name) ? 1 : 0;
  }
}

}  // namespace

ProcessCounts CountOpen(const std::vector<int>& pids) {
  ProcessCounts counts;
  for (const int pid : pids) {
    CountOne(pid, counts);
  }
  return counts;
}

std::optional<uint64_t> OpenFilesLimit(pid_t pid) {
  rlimit limit{};
  if (pid <= 0 || prlimit(pid, RLIMIT_NOFILE, nullptr, &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY) {
    return std::nullopt;
  }
  return limit.rlim_cur;
}

}  // namespace davit::server
