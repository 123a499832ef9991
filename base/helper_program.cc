// SPDX-License-Identifier: Apache-2.0
#include "base/helper_program.h"

#include <unistd.h>

#include <filesystem>
#include <vector>

#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit {
namespace {

std::vector<std::string> Places(const HelperProgram& program) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return {};
  }
  const auto directory = self.parent_path();
  const auto above = directory.parent_path();
  return {directory / program.name, above / "libexec/davit" / program.name,
          above / program.folder / program.name,
          above.parent_path() / program.folder / program.name};
}

}  // namespace

absl::StatusOr<std::string> FindHelperProgram(const HelperProgram& program,
                                              const std::string& configured) {
  const std::vector<std::string> tried =
      configured.empty() ? Places(program) : std::vector<std::string>{configured};
  for (const std::string& path : tried) {
    if (access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  if (configured.empty()) {
    if (auto found = FindProgram(program.name); found.ok()) {
      return found;
    }
  }
  return FailedPrecondition("the program {} is not at {} nor in PATH; set {}", program.name,
                            Join(tried, ", "), program.key);
}

}  // namespace davit
