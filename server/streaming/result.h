// SPDX-License-Identifier: Apache-2.0
//
// How a command ended, as its client is told on the error stream: from version 4 of the protocol on
// a metav1.Status in JSON, before that plain text, and nothing for success.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace davit::server::streaming {

// `result`: the exit code, or why the command could not be run.
std::string ResultText(const absl::StatusOr<int>& result, int version);

}  // namespace davit::server::streaming
