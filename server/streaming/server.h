// SPDX-License-Identifier: Apache-2.0
//
// The streaming server: exec, attach and port-forward. The RPC of each gives a client a URL; the
// client connects to it and speaks SPDY/3.1 or WebSocket. One thread serves all; it starts with the
// first URL, so that a node on which nobody executes anything pays for none. docs/streaming.md.
// Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "base/executor.h"
#include "config/config.h"
#include "server/streaming/bounds.h"
#include "server/streaming/request.h"

namespace davit::server::streaming {

class Server {
 public:
  // Binds the address, so that a wrong one is known at once. What may wait runs on `executor`.
  static absl::StatusOr<std::unique_ptr<Server>> Create(const config::Streaming& config,
                                                        Executor& executor,
                                                        const Limits& limits = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // URLs, each for one connection within the creation timeout. ResourceExhausted while too many
  // wait to be used.
  absl::StatusOr<std::string> AddExec(CommandRequest request);
  absl::StatusOr<std::string> AddAttach(CommandRequest request);
  absl::StatusOr<std::string> AddPortForward(PortForwardRequest request);

  // Ends all sessions and the thread; containers go on, and so do commands in them. Before the
  // executor ends. Idempotent.
  void Stop();

 private:
  struct Impl;
  explicit Server(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace davit::server::streaming
