// SPDX-License-Identifier: Apache-2.0
//
// Where the programs are that belong to davit and are started by it: the monitor, the unpacker.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace davit {

struct HelperProgram {
  const char* name;    // "davit-conmon"
  const char* folder;  // of a build directory that it is made in: "conmon"
  const char* key;     // of the configuration that says where it is: "runtime.monitor_path"
};

// As configured; else beside the running program, in ../libexec/davit, in a build directory, in
// PATH. FailedPrecondition says where it was looked for.
absl::StatusOr<std::string> FindHelperProgram(const HelperProgram& program,
                                              const std::string& configured);

}  // namespace davit
