// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/port_forward_session.h"

#include <fcntl.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::streaming {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;

constexpr auto kConnectTime = 30s;  // to a port of the pod
constexpr auto kDeliveryTime = 10s;
// A connection outlives streams that its client resets, so the limit of streams is none for them.
constexpr size_t kMaxLinks = 1024;
constexpr size_t kMaxRequestId = 64;

// One connection.
struct Link {
  explicit Link(Loop& loop)
      : inbox(std::make_shared<Inbox>(loop)), changed(loop), in(loop), out(loop) {}

  uint16_t port = 0;
  std::optional<StreamId> data;
  std::optional<StreamId> error;
  std::shared_ptr<Inbox> inbox;
  Signal changed;
  Descriptor in;
  Descriptor out;
  bool pumping_in = false;
  bool cut = false;      // the client gave it up, or is gone
  bool dropped = false;  // the client gave it up

  [[nodiscard]] bool paired() const { return data && error; }
  void Cut() {
    cut = true;
    inbox->ended = true;
    inbox->changed.Notify();
    out.Cancel();
    changed.Notify();
  }
  // With what is on its way: memory is no longer accounted for once a stream was reset.
  void Drop() {
    dropped = true;
    std::string().swap(inbox->bytes);
    in.Close();
    Cut();
  }
};

std::optional<uint16_t> PortOf(const Headers& headers) {
  const auto found = headers.find("port");
  const auto port = found == headers.end() ? std::nullopt : ParseUint(found->second);
  return port && *port > 0 && *port <= UINT16_MAX
             ? std::optional<uint16_t>(static_cast<uint16_t>(*port))
             : std::nullopt;
}

// Old clients name no request: their error stream comes first, and the data stream is the next.
std::string RequestOf(const Headers& headers, StreamId id, bool is_error) {
  const auto found = headers.find("requestid");
  return found != headers.end() ? "r" + found->second : fmt::format("s{}", is_error ? id : id - 2);
}

class PortForwardSession final : public Session {
 public:
  PortForwardSession(SessionParts parts, PortForwardRequest request, bool by_channel)
      : Session(std::move(parts)),
        request_(std::move(request)),
        by_channel_(by_channel),
        closed_(loop()) {
    for (size_t i = 0; by_channel && i < request_.ports.size(); ++i) {
      auto link = std::make_shared<Link>(loop());
      link->port = request_.ports[i];
      link->data = static_cast<StreamId>(2 * i);
      link->error = static_cast<StreamId>(2 * i + 1);
      by_stream_[*link->data] = link;
      by_stream_[*link->error] = link;
      channels_.push_back(std::move(link));
    }
  }

 private:
  bool OnStream(StreamId id, const Headers& headers) override {
    const auto type = headers.find("streamtype");
    const auto port = PortOf(headers);
    if (type == headers.end() || (type->second != "data" && type->second != "error") || !port) {
      return false;
    }
    const bool is_error = type->second == "error";
    const std::string request = RequestOf(headers, id, is_error);
    const bool fresh = by_request_.count(request) == 0;
    if (fresh && (open_ >= kMaxLinks || request.size() > kMaxRequestId)) {
      return false;
    }
    std::shared_ptr<Link>& link = by_request_[request];
    if (fresh) {
      link = std::make_shared<Link>(loop());
      link->port = *port;
    }
    std::optional<StreamId>& place = is_error ? link->error : link->data;
    if (place || link->port != *port) {
      return false;
    }
    place = id;
    by_stream_[id] = link;
    link->changed.Notify();
    if (fresh) {
      ++open_;
      asio::co_spawn(loop().context(), Forward(shared_from_this(), link, request), asio::detached);
    }
    return true;
  }

  void OnData(StreamId id, std::string_view data) override {
    const auto found = by_stream_.find(id);
    if (found != by_stream_.end() && found->second->data == id) {
      Put(*found->second->inbox, data);
    } else {
      mux().Consume(id, data.size());
    }
  }

  void OnEnd(StreamId id) override {
    const auto found = by_stream_.find(id);
    if (found != by_stream_.end() && found->second->data == id) {
      PutEnd(*found->second->inbox);
    }
  }

  void OnReset(StreamId id) override {
    const auto found = by_stream_.find(id);
    // A connection that is there goes on without its error stream.
    if (found != by_stream_.end() && (found->second->data == id || !found->second->paired())) {
      found->second->Drop();
    }
  }

  void OnGone() override {
    for (const auto& [id, link] : by_stream_) {
      link->Cut();
    }
    closed_.Notify();
  }

  awaitable<void> Work() override {
    for (const auto& link : channels_) {
      // Tells the client that it is connected: the port, low byte first.
      const std::string number = {static_cast<char>(link->port & 0xffU),
                                  static_cast<char>(link->port >> 8U)};
      mux().Send(*link->data, number);
      mux().Send(*link->error, number);
      ++open_;
      asio::co_spawn(loop().context(), Forward(shared_from_this(), link, ""), asio::detached);
    }
    Flush();
    while (!gone() && (!by_channel_ || open_ > 0)) {
      co_await closed_.Wait();
    }
  }

  awaitable<void> Forward(std::shared_ptr<Session> self, std::shared_ptr<Link> link,
                          std::string request) {
    co_await AwaitPair(*link);
    if (link->paired() && !link->cut) {
      const absl::Status status = co_await Connect(*link);
      if (status.ok() && !link->dropped) {
        co_await Exchange(self, link);
      } else if (!link->dropped) {
        log::Info("{}: {}", request_.what, Message(status));
        co_await SendText(*link->error, Message(status));
      }
    }
    Forget(*link, request);
    --open_;
    closed_.Notify();
  }

  awaitable<void> AwaitPair(Link& link) {
    bool late = false;
    const Alarm limit(loop(), stream_time(), [&] {
      late = true;
      link.changed.Notify();
    });
    while (!link.paired() && !late && !link.cut) {
      co_await link.changed.Wait();
    }
  }

  void Forget(const Link& link, const std::string& request) {
    if (link.error) {
      mux().End(*link.error);
      by_stream_.erase(*link.error);
    }
    if (link.data) {
      mux().End(*link.data);
      mux().Reset(*link.data);  // nobody is there for what the client may still send
      by_stream_.erase(*link.data);
    }
    by_request_.erase(request);
    Flush();
  }

  awaitable<absl::Status> Connect(Link& link) {
    auto sockets = co_await OnExecutor<absl::StatusOr<std::vector<UniqueFd>>>(
        shared_loop(), executor(), request_.sockets);
    if (!sockets.ok()) {
      co_return sockets.status();
    }
    boost::system::error_code last = asio::error::address_family_not_supported;
    for (size_t family = 0; family < sockets->size(); ++family) {
      if (!(*sockets)[family].valid()) {
        continue;
      }
      const bool v4 = family == 0;
      tcp::socket socket(loop().context());
      socket.assign(v4 ? tcp::v4() : tcp::v6(), (*sockets)[family].get(), last);
      if (last) {
        continue;
      }
      (void)(*sockets)[family].Release();
      last = co_await ConnectOne(socket, link.port, v4);
      if (!last) {
        UniqueFd fd(socket.release());
        UniqueFd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
        const bool usable =
            copy.valid() && link.in.Open(std::move(copy)) && link.out.Open(std::move(fd));
        co_return usable ? absl::OkStatus() : ResourceExhausted("no descriptor for a connection");
      }
    }
    co_return Unavailable("connect to port {} of the pod: {}", link.port, last.message());
  }

  awaitable<boost::system::error_code> ConnectOne(tcp::socket& socket, uint16_t port, bool v4) {
    tcp::endpoint address(asio::ip::address_v6::loopback(), port);
    if (v4) {
      address = tcp::endpoint(asio::ip::address_v4::loopback(), port);
    }
    const Alarm limit(loop(), kConnectTime, [&socket] {
      boost::system::error_code ignored;
      socket.cancel(ignored);
    });
    const auto [error] = co_await socket.async_connect(address, kTuple);
    co_return error;
  }

  // Until both directions have ended.
  awaitable<void> Exchange(std::shared_ptr<Session> self, std::shared_ptr<Link> link) {
    link->pumping_in = true;
    asio::co_spawn(loop().context(), FeedPod(self, link), asio::detached);
    const bool never = false;
    co_await PumpOut(link->out, *link->data, never);
    mux().End(*link->data);
    Flush();
    if (by_channel_) {
      link->Cut();  // no word for half of a connection, neither from us nor from the client
    }
    while (link->pumping_in && !link->cut) {
      co_await link->changed.Wait();
    }
    const Alarm limit(loop(), kDeliveryTime, [link] { link->in.Close(); });
    while (link->pumping_in) {
      co_await link->changed.Wait();
    }
  }

  awaitable<void> FeedPod(std::shared_ptr<Session> /*self*/, std::shared_ptr<Link> link) {
    co_await PumpIn(link->inbox, *link->data, link->in, PumpEnd::kHalfClose);
    link->pumping_in = false;
    link->changed.Notify();
  }

  const PortForwardRequest request_;
  const bool by_channel_;
  size_t open_ = 0;  // links being served
  Signal closed_;
  std::vector<std::shared_ptr<Link>> channels_;
  std::map<std::string, std::shared_ptr<Link>> by_request_;
  std::map<StreamId, std::shared_ptr<Link>> by_stream_;
};

}  // namespace

std::shared_ptr<Session> MakePortForwardSession(SessionParts parts, PortForwardRequest request) {
  return std::make_shared<PortForwardSession>(std::move(parts), std::move(request), false);
}

std::shared_ptr<Session> MakeChannelPortForwardSession(SessionParts parts,
                                                       PortForwardRequest request) {
  return std::make_shared<PortForwardSession>(std::move(parts), std::move(request), true);
}

}  // namespace davit::server::streaming
