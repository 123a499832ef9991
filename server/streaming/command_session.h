// SPDX-License-Identifier: Apache-2.0
//
// Exec and attach: a client's streams joined to those of a process in a container.
//
//   streams open → start the command → bytes both ways → it ends → result on the error stream
//
// A client that goes away ends its streams, not the command: what it sent is still delivered, its
// terminal hangs up, its outputs break; the command is waited for so that nothing of it stays.
#pragma once

#include <memory>

#include "server/streaming/request.h"
#include "server/streaming/session.h"

namespace davit::server::streaming {

enum class StreamOpening {
  kByClient,  // SPDY: each stream is opened with its type
  kImplicit,  // WebSocket: channels have fixed numbers
};

std::shared_ptr<Session> MakeCommandSession(SessionParts parts, CommandRequest request, int version,
                                            StreamOpening opening);

// Of the WebSocket protocols.
inline constexpr size_t kCommandChannels = 5;

}  // namespace davit::server::streaming
