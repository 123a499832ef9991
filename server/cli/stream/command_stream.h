// SPDX-License-Identifier: Apache-2.0
//
// Joins this process's stdin, stdout and stderr to a command in a container, for `davit exec` and
// `davit attach`.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace davit::server::cli {

struct CommandStream {
  std::string url;      // what Exec or Attach returned
  std::string ca_file;  // see ChannelSocket
  bool in = false;
  bool tty = false;         // a terminal on stdin passes its size on, and with `in` every key
  std::string detach_keys;  // with tty; "": none
};

struct CommandEnd {
  bool detached = false;  // by the keys
  int exit_code = 0;
};

// Until the command has ended or the operator detaches.
absl::StatusOr<CommandEnd> RunCommandStream(const CommandStream& stream);

// The exit code in what a command's error stream says (a metav1.Status), or the error that it is.
absl::StatusOr<int> ParseResult(const std::string& text);

}  // namespace davit::server::cli
