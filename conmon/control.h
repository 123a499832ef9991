// SPDX-License-Identifier: Apache-2.0
//
// The control socket: accepts a few clients at a time and answers each request with one reply. What
// a request does is the monitor's business; this knows sockets only. Nothing here ever blocks.
#pragma once

#include <stddef.h>

#include "conmon/protocol.h"
#include "conmon/sys.h"

namespace davit::conmon {

inline constexpr size_t kMaxClients = 8;

// Binds kControlSocket in the current directory (which keeps the path short). Returns an errno.
int ListenControl(Fd* listener);

// A client of our own user, or invalid.
Fd AcceptClient(int listener);

enum class Received { kRequest, kNothing, kClosed };
// `fds`: kMaxAttachStreams places for the descriptors that came with it.
Received ReceiveRequest(int client, Request* request, Fd* fds);

// False: the client does not read its replies and is to be closed.
bool SendReply(int client, const Reply& reply);

}  // namespace davit::conmon
