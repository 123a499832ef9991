// SPDX-License-Identifier: Apache-2.0
//
// The client's end of a URL that Exec, Attach or PortForward returned: a WebSocket that speaks
// v5.channel.k8s.io (see server/streaming/websocket/channel_mux.h). Includes Asio, so only for .cc
// files of this folder. One thread; Send may be called from several coroutines, Receive from one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace davit::server::cli {

namespace asio = boost::asio;
using asio::awaitable;

// Operations give their error as the first of a tuple instead of throwing it.
inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

// Channels of exec and attach.
inline constexpr char kInputChannel = 0;
inline constexpr char kOutputChannel = 1;
inline constexpr char kErrorsChannel = 2;
inline constexpr char kResultChannel = 3;
inline constexpr char kSizeChannel = 4;

struct ChannelMessage {
  char channel = 0;
  std::string data;
};

class ChannelSocket {
 public:
  // `url`: http://ADDRESS:PORT/PATH or https. With https the server's certificate has to be of
  // `ca_file`, or with "" of an authority that the system trusts. Unavailable, NotFound (the URL
  // was used or is too old) or Unauthenticated.
  static awaitable<absl::StatusOr<std::unique_ptr<ChannelSocket>>> Connect(std::string url,
                                                                           std::string ca_file);
  virtual ~ChannelSocket() = default;
  ChannelSocket() = default;
  ChannelSocket(const ChannelSocket&) = delete;
  ChannelSocket& operator=(const ChannelSocket&) = delete;

  // Nothing once the server has said good-bye; an error if the connection just broke.
  virtual awaitable<absl::StatusOr<std::optional<ChannelMessage>>> Receive() = 0;
  // Returns when the bytes are on their way: a slow server holds up whoever sends. False: the
  // connection is gone, as Receive tells.
  virtual awaitable<bool> Send(char channel, std::string_view data) = 0;
  // No more comes on the channel.
  awaitable<bool> End(char channel) { co_return co_await Send('\xff', {&channel, 1}); }
};

}  // namespace davit::server::cli
