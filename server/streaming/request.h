// SPDX-License-Identifier: Apache-2.0
//
// What a URL of the streaming server stands for, and what it is joined to. The server knows nothing
// of pods and containers: the RPCs give it functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/fd.h"

namespace davit::server::streaming {

struct TerminalSize {
  uint16_t rows = 0;
  uint16_t columns = 0;
};

// The container's side of an exec or attach session. Descriptors are non-blocking and may be
// polled; one that is not there is not valid. Destroyed on the streaming thread.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // Each is taken once.
  UniqueFd in = {};
  UniqueFd out = {};
  UniqueFd err = {};

  // Neither may wait; a failure is logged, there is nobody to tell.
  virtual void Resize(const TerminalSize& size) = 0;
  // The client is gone: gives up what would keep a terminal open.
  virtual void HangUp() {}
  // Readable when the command has ended; -1: the session ends with its outputs.
  [[nodiscard]] virtual int exit_fd() const { return -1; }
  // Once exit_fd is readable: the exit code, 128 + N for a signal. Nothing: it was not the end yet.
  virtual absl::StatusOr<std::optional<int>> ReadExit() { return std::optional<int>(0); }
};

struct CommandRequest {
  std::string what;  // "exec in container 0123": for messages
  bool in = false;
  bool out = false;
  bool err = false;
  bool tty = false;
  // May wait; on a thread for that.
  std::function<absl::StatusOr<std::unique_ptr<Endpoint>>(Context&)> start;
};

struct PortForwardRequest {
  std::string what;
  std::vector<uint16_t> ports;  // only the WebSocket form needs them named beforehand
  // Unconnected, non-blocking TCP sockets of the pod's network: IPv4, IPv6 (either may be missing).
  std::function<absl::StatusOr<std::vector<UniqueFd>>(Context&)> sockets;
};

using Request = std::variant<CommandRequest, PortForwardRequest>;

}  // namespace davit::server::streaming
