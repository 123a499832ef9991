// SPDX-License-Identifier: Apache-2.0
#include "server/monitor_path.h"

#include <unistd.h>

#include <filesystem>
#include <vector>

#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit::server {

absl::StatusOr<std::string> FindMonitorProgram(const std::string& configured) {
  constexpr char kName[] = "davit-conmon";
  std::vector<std::string> tried;
  if (!configured.empty()) {
    tried.push_back(configured);
  } else {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (!error) {
      const auto directory = self.parent_path();
      tried.push_back(directory / kName);
      tried.push_back(directory.parent_path() / "libexec/davit" / kName);
      tried.push_back(directory.parent_path() / "conmon" / kName);  // a build directory
    }
  }
  for (const auto& path : tried) {
    if (::access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  if (configured.empty()) {
    if (auto found = FindProgram(kName); found.ok()) {
      return found;
    }
  }
  return FailedPrecondition(
      "the monitor program davit-conmon is not at {} nor in PATH; set runtime.monitor_path",
      Join(tried, ", "));
}

}  // namespace davit::server
