// SPDX-License-Identifier: Apache-2.0
//
// TLS of the streaming server: its settings, its certificate, and the certificate's renewal without
// a restart. Files are looked at when a client connects, at most once a second: an idle daemon
// watches nothing.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "config/config.h"
#include "server/streaming/transport.h"

namespace davit::server::streaming {

class Tls {
 public:
  // InvalidArgument or NotFound: names the file or setting.
  static absl::StatusOr<std::unique_ptr<Tls>> Create(const config::Streaming& config);

  // For the next connection. A renewed certificate that cannot be used is logged, and the last good
  // one goes on.
  std::shared_ptr<asio::ssl::context> Current();

 private:
  explicit Tls(const config::Streaming& config) : config_(config) {}
  absl::Status Load();

  const config::Streaming config_;
  std::shared_ptr<asio::ssl::context> context_;
  std::string seen_;  // what the files looked like when they were loaded
  std::chrono::steady_clock::time_point looked_at_;
};

}  // namespace davit::server::streaming
