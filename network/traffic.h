// SPDX-License-Identifier: Apache-2.0
//
// Packets for the tests of this folder. A socket stays in the network namespace where it was made:
// these make it in that of the calling thread.
#pragma once

#include <functional>
#include <string>

#include "base/fd.h"

namespace davit::network {

UniqueFd ListenTcp(const std::string& ip, int port);
// Whether a connection comes about within some seconds. `how_long_ms` is for those that do not.
bool Connects(const std::string& ip, int port, int how_long_ms = 5000);

// A UDP socket, bound if there is an address.
UniqueFd OpenUdp(int family, const std::string& ip = "", int port = 0);
// Sends a datagram, without waiting for anything.
void SendUdp(int fd, const std::string& ip, int port);
// Whether a datagram from `client` to the address comes to `server`, and its answer back.
bool Converse(int client, const std::string& ip, int port, int server);

// The source address of the connection that waits to be accepted; "" if none comes.
std::string AcceptedFrom(int listener);

// Runs the body in a namespace and gives what it returns.
bool In(const std::string& netns, const std::function<bool()>& body);

}  // namespace davit::network
