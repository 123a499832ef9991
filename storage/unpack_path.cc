// SPDX-License-Identifier: Apache-2.0
#include "storage/unpack_path.h"

#include <unistd.h>

#include <filesystem>
#include <vector>

#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit::storage {

absl::StatusOr<std::string> FindUnpackProgram(const std::string& configured) {
  constexpr char kName[] = "davit-unpack";
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
      tried.push_back(directory.parent_path() / "storage" / kName);
      tried.push_back(directory.parent_path().parent_path() / "storage" / kName);
    }
  }
  for (const auto& path : tried) {
    if (access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  if (configured.empty()) {
    if (auto found = FindProgram(kName); found.ok()) {
      return found;
    }
  }
  return FailedPrecondition(
      "the program davit-unpack is not at {} nor in PATH; set storage.unpack_path",
      Join(tried, ", "));
}

}  // namespace davit::storage
