// SPDX-License-Identifier: Apache-2.0
//
// Packets for the tests of this folder. A socket stays in the network namespace where it was made:
// these make it in that of the calling thread.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/fd.h"

namespace davit::network {

UniqueFd ListenTcp(const std::string& ip, int port);
// Whether a connection comes about within some seconds. `how_long_ms` is for those that do not.
bool Connects(const std::string& ip, int port, int how_long_ms = 5000);

// A connection, and the end of it that a listener accepts; invalid, and a failed test, if none
// comes about within some seconds.
UniqueFd ConnectTcp(const std::string& ip, int port);
UniqueFd AcceptTcp(int listener);
// How long so many bytes take through a connection whose ends these are, until the last is read.
std::chrono::nanoseconds TimeToSend(int from, int to, size_t bytes);

// A UDP socket, bound if there is an address.
UniqueFd OpenUdp(int family, const std::string& ip = "", int port = 0);
// Sends a datagram, without waiting for anything.
void SendUdp(int fd, const std::string& ip, int port);
// Whether a datagram from `client` to the address comes to `server`, and its answer back.
bool Converse(int client, const std::string& ip, int port, int server);
// The time to live of the next datagram (IPv4) that comes; -1 if none does.
int ReceivedTtl(int server);

// The source address of the connection that waits to be accepted; "" if none comes.
std::string AcceptedFrom(int listener);

// Runs the body in a namespace and gives what it returns.
bool In(const std::string& netns, const std::function<bool()>& body);

}  // namespace davit::network
