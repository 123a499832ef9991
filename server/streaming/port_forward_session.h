// SPDX-License-Identifier: Apache-2.0
//
// Port-forward: each connection of the client's is a pair of streams, one for data and one for an
// error, joined to a TCP connection with the pod's loopback address, IPv4 and then IPv6.
#pragma once

#include <memory>

#include "server/streaming/request.h"
#include "server/streaming/session.h"

namespace davit::server::streaming {

// SPDY: pairs are opened by the client, each with its port.
std::shared_ptr<Session> MakePortForwardSession(SessionParts parts, PortForwardRequest request);
// WebSocket: channels 2*i and 2*i+1 are data and error of ports[i].
std::shared_ptr<Session> MakeChannelPortForwardSession(SessionParts parts,
                                                       PortForwardRequest request);

}  // namespace davit::server::streaming
