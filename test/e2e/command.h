// SPDX-License-Identifier: Apache-2.0
//
// Programs that a test runs to their end.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/subprocess.h"

namespace davit::e2e {

// argv[0] may be a name in PATH. Throws if it cannot be run or takes longer than a minute.
RunResult RunCommand(const std::vector<std::string>& argv,
                     const std::vector<std::string>& env = {});

// The same; an exit code other than 0 throws what it printed. Returns its output.
std::string MustRun(const std::vector<std::string>& argv);

}  // namespace davit::e2e
