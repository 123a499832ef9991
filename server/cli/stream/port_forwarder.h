// SPDX-License-Identifier: Apache-2.0
//
// Listens on local ports and carries each connection into a pod, through a stream of its own: a
// slow one holds up no other.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::server::cli {

struct ForwardedPort {
  uint16_t local = 0;  // 0: any that is free
  uint16_t remote = 0;
};

// "8080:80", "80" (the same on both sides) or ":80" (any local port).
absl::StatusOr<ForwardedPort> ParseForwardedPort(const std::string& text);

struct ForwardOptions {
  std::vector<std::string> addresses;  // to listen on
  std::vector<ForwardedPort> ports;
  std::string ca_file;
  // A URL for one connection with this port of the pod. Called on other threads.
  std::function<absl::StatusOr<std::string>(uint16_t port)> open;
};

// Until a signal ends the process; returns only errors of the beginning. Says on stdout where it
// listens, and on stderr which connections failed.
absl::Status ForwardPorts(const ForwardOptions& options);

}  // namespace davit::server::cli
