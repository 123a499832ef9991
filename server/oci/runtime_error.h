// SPDX-License-Identifier: Apache-2.0
//
// What an OCI runtime says when it fails: its log (JSON lines, or plain text from runtimes that
// know no other) and its stderr, turned into one message and a code.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace davit::server::oci {

// The last error of a runtime's log; "" if it holds none.
std::string LastRuntimeError(std::string_view log);

// `text` as users know it: a missing command reads `exec: "foo": executable file not found in
// $PATH` whichever runtime says so. InvalidArgument for a command that cannot be executed,
// FailedPrecondition for a container that does not run, else Internal. `what` comes first.
absl::Status RuntimeErrorStatus(const std::string& what, std::string_view text);

// True if the runtime complains that it knows no such container.
bool IsUnknownContainer(std::string_view text);

}  // namespace davit::server::oci
