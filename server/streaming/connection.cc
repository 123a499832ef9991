// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/connection.h"

#include <utility>
#include <variant>

#include "base/status.h"
#include "server/streaming/command_session.h"
#include "server/streaming/http/upgrade.h"
#include "server/streaming/port_forward_session.h"
#include "server/streaming/spdy/spdy_mux.h"
#include "server/streaming/websocket/channel_mux.h"
#include "server/streaming/websocket/tunnel.h"

namespace davit::server::streaming {
namespace {

constexpr size_t kChannelsPerPort = 2;
constexpr size_t kMaxPorts = 100;  // channel numbers are one byte
constexpr std::string_view kHeadEnd = "\r\n\r\n";

// What came: up to the end of the head, and the rest.
struct Head {
  std::string head;
  std::string rest;
};

awaitable<absl::StatusOr<Head>> ReadHead(Transport& transport) {
  Head read;
  while (true) {
    const std::string_view bytes = co_await transport.Read();
    if (bytes.empty()) {
      co_return absl::CancelledError("the client closed the connection");
    }
    read.head.append(bytes);
    const size_t end = read.head.find(kHeadEnd);
    if (end != std::string::npos && end + kHeadEnd.size() <= http::kMaxHead) {
      read.rest = read.head.substr(end + kHeadEnd.size());
      read.head.resize(end + kHeadEnd.size());
      co_return read;
    }
    if (read.head.size() > http::kMaxHead) {
      co_return InvalidArgument("a request head of more than {} bytes", http::kMaxHead);
    }
  }
}

bool PathFits(std::string_view path, const Request& request) {
  const bool is_ports = std::holds_alternative<PortForwardRequest>(request);
  return path == kPortForwardPath ? is_ports : !is_ports;
}

// The request that a path stands for; a token is used up even if what follows fails.
absl::StatusOr<Request> TakeRequest(TokenTable& tokens, const std::string& path) {
  for (const std::string_view prefix : {kExecPath, kAttachPath, kPortForwardPath}) {
    if (!path.starts_with(prefix)) {
      continue;
    }
    ASSIGN_OR_RETURN(Request request, tokens.Take(path.substr(prefix.size())));
    if (PathFits(prefix, request)) {
      return request;
    }
  }
  return NotFound("no such URL");
}

std::unique_ptr<Mux> MakeMux(const http::Upgrade& upgrade, size_t channels) {
  switch (upgrade.transport) {
    case http::Transport::kSpdy:
      return std::make_unique<spdy::Mux>();
    case http::Transport::kSpdyInWebSocket:
      return std::make_unique<websocket::Tunnel>();
    case http::Transport::kChannels:
      break;
  }
  return std::make_unique<websocket::ChannelMux>(upgrade.format, channels);
}

// Decided, and nothing yet said to the client.
struct Plan {
  Request request;
  http::Upgrade upgrade;
};

absl::StatusOr<Plan> MakePlan(TokenTable& tokens, const std::string& head) {
  ASSIGN_OR_RETURN(const http::Request http_request, http::ParseRequest(head));
  ASSIGN_OR_RETURN(Request request, TakeRequest(tokens, http_request.path));
  const auto* ports = std::get_if<PortForwardRequest>(&request);
  ASSIGN_OR_RETURN(http::Upgrade upgrade, ports != nullptr ? http::UpgradeForPorts(http_request)
                                                           : http::UpgradeForCommand(http_request));
  if (ports != nullptr && upgrade.transport == http::Transport::kChannels &&
      (ports->ports.empty() || ports->ports.size() > kMaxPorts)) {
    return InvalidArgument("port-forward in channels needs 1 to {} ports in its request",
                           kMaxPorts);
  }
  return Plan{std::move(request), std::move(upgrade)};
}

std::shared_ptr<Session> MakeSession(SessionParts parts, Plan plan) {
  const bool channels = plan.upgrade.transport == http::Transport::kChannels;
  if (auto* ports = std::get_if<PortForwardRequest>(&plan.request)) {
    parts.mux = MakeMux(plan.upgrade, kChannelsPerPort * ports->ports.size());
    return channels ? MakeChannelPortForwardSession(std::move(parts), std::move(*ports))
                    : MakePortForwardSession(std::move(parts), std::move(*ports));
  }
  parts.mux = MakeMux(plan.upgrade, kCommandChannels);
  return MakeCommandSession(std::move(parts), std::get<CommandRequest>(std::move(plan.request)),
                            plan.upgrade.version,
                            channels ? StreamOpening::kImplicit : StreamOpening::kByClient);
}

// Reads until the client closes, too: closed at once, TCP would throw the answer away.
awaitable<void> Refuse(Transport& transport, const absl::Status& status) {
  const std::string answer = http::ErrorAnswer(status);
  const bool sent = co_await transport.Write(answer);
  if (!sent) {
    co_return;
  }
  co_await transport.EndOutput();
  while (true) {
    const std::string_view rest = co_await transport.Read();
    if (rest.empty()) {
      break;
    }
  }
}

}  // namespace

awaitable<Accepted> AcceptClient(const ConnectionParts& parts,
                                 std::shared_ptr<std::unique_ptr<Transport>> transport) {
  Accepted accepted;
  const bool open = co_await (*transport)->Open();
  if (!open) {
    co_return accepted;
  }
  absl::StatusOr<Head> head = co_await ReadHead(**transport);
  if (absl::IsCancelled(head.status())) {
    co_return accepted;
  }
  absl::StatusOr<Plan> plan =
      head.ok() ? MakePlan(parts.tokens, head->head) : absl::StatusOr<Plan>(head.status());
  if (!plan.ok()) {
    parts.refusals.Say(plan.status());
    co_await Refuse(**transport, plan.status());
    co_return accepted;
  }
  const bool sent = co_await (*transport)->Write(plan->upgrade.answer);
  if (sent) {
    accepted.early = std::move(head->rest);
    accepted.session = MakeSession({.loop = parts.loop,
                                    .executor = parts.executor,
                                    .transport = std::move(*transport),
                                    .mux = nullptr,
                                    .idle_timeout = parts.idle_timeout,
                                    .stream_time = parts.stream_time},
                                   *std::move(plan));
  }
  co_return accepted;
}

}  // namespace davit::server::streaming
