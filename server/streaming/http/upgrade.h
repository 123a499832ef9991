// SPDX-License-Identifier: Apache-2.0
//
// What the client wants to speak after HTTP: which transport, which version of the protocol of
// Kubernetes above it. Negotiated as Kubernetes' own servers do: the first of the client's
// protocols that we know.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "server/streaming/http/request.h"
#include "server/streaming/websocket/channel_mux.h"

namespace davit::server::streaming::http {

enum class Transport { kSpdy, kChannels, kSpdyInWebSocket };

struct Upgrade {
  Transport transport = Transport::kSpdy;
  // Exec and attach: from 3 on with terminal size, from 4 on with the result as JSON.
  int version = 0;
  websocket::ChannelFormat format = {};
  std::string answer;  // status 101, with all headers
};

// InvalidArgument: no upgrade that this server knows; PermissionDenied: no protocol in common.
absl::StatusOr<Upgrade> UpgradeForCommand(const Request& request);
absl::StatusOr<Upgrade> UpgradeForPorts(const Request& request);

}  // namespace davit::server::streaming::http
