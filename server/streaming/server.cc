// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <list>
#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include <boost/asio/ip/tcp.hpp>

#include "base/log.h"
#include "base/status.h"
#include "server/streaming/connection.h"
#include "server/streaming/refusal_log.h"
#include "server/streaming/tls.h"
#include "server/streaming/token_table.h"

namespace davit::server::streaming {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;

constexpr int kBacklog = 128;
// Connections before their upgrade: with one more, the oldest goes.
constexpr size_t kMaxConnecting = 256;
constexpr size_t kMaxSessions = 10000;
constexpr auto kRetryAccept = 100ms;  // without descriptors

absl::StatusOr<tcp::endpoint> ParseAddress(const config::Streaming& config) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(config.address, error);
  if (error) {
    return InvalidArgument("streaming.address: \"{}\" is no IP address", config.address);
  }
  return tcp::endpoint(address, static_cast<uint16_t>(config.port));
}

// A plain socket: Asio sees it when the first client is expected.
absl::StatusOr<UniqueFd> Listen(const tcp::endpoint& address) {
  UniqueFd fd(socket(address.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(fd.get(), address.data(), static_cast<socklen_t>(address.size())) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return ErrnoStatus(errno, fmt::format("listen on {}:{} (streaming.address, streaming.port)",
                                          address.address().to_string(), address.port()));
  }
  return fd;
}

absl::StatusOr<uint16_t> PortOf(const UniqueFd& fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return ErrnoStatus(errno, "ask for the port of the streaming server");
  }
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  using Connecting = std::shared_ptr<std::unique_ptr<Transport>>;

  Impl(const config::Streaming& its_config, Executor& its_executor, const Limits& its_limits)
      : config(its_config),
        limits(its_limits),
        executor(its_executor),
        tokens(its_config.creation_timeout) {}

  absl::Status Bind() {
    ASSIGN_OR_RETURN(const tcp::endpoint address, ParseAddress(config));
    ASSIGN_OR_RETURN(listener, Listen(address));
    ASSIGN_OR_RETURN(const uint16_t port, PortOf(listener));
    if (!config.tls_cert.empty()) {
      ASSIGN_OR_RETURN(tls, Tls::Create(config));
    }
    v6 = address.address().is_v6();
    const std::string host = address.address().to_string();
    url = fmt::format(fmt::runtime(v6 ? "{}://[{}]:{}" : "{}://{}:{}"), tls ? "https" : "http",
                      host, port);
    return absl::OkStatus();
  }

  absl::Status StartThread() {
    absl::MutexLock lock(&mutex);
    if (stopped) {
      return Unavailable("the daemon is stopping");
    }
    if (loop) {
      return absl::OkStatus();
    }
    loop = std::make_shared<Loop>();
    asio::co_spawn(loop->context(), Accept(shared_from_this(), loop), asio::detached);
    try {
      thread = std::thread([its_loop = loop] { its_loop->Run(); });
    } catch (const std::system_error& error) {
      loop.reset();
      return ResourceExhausted("start the streaming thread: {}", ErrnoText(error.code().value()));
    }
    return absl::OkStatus();
  }

  void Stop() {
    std::shared_ptr<Loop> last;
    std::thread its_thread;
    {
      absl::MutexLock lock(&mutex);
      stopped = true;
      last = std::move(loop);
      its_thread = std::move(thread);
    }
    if (last) {
      last->Stop();
      its_thread.join();
      connecting.clear();  // sockets must not outlive their loop
      last->End();
    }
  }

  awaitable<void> Accept(std::shared_ptr<Impl> self, std::shared_ptr<Loop> its_loop) {
    tcp::acceptor acceptor(its_loop->context());
    boost::system::error_code error;
    acceptor.assign(v6 ? tcp::v6() : tcp::v4(), listener.Release(), error);
    while (!error) {
      auto [failure, socket] = co_await acceptor.async_accept(kTuple);
      if (failure) {
        log::Warning("streaming: accept a connection: {}", failure.message());
        asio::steady_timer pause(its_loop->context(), kRetryAccept);
        co_await pause.async_wait(kTuple);
        continue;
      }
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      socket.set_option(asio::socket_base::keep_alive(true), ignored);
      auto transport = std::make_shared<std::unique_ptr<Transport>>(
          tls ? MakeTlsTransport(std::move(socket), tls->Current())
              : MakePlainTransport(*its_loop, std::move(socket)));
      asio::co_spawn(its_loop->context(), Handle(self, its_loop, std::move(transport)),
                     asio::detached);
    }
    log::Error("streaming: watch the listening socket: {}", error.message());
  }

  awaitable<void> Handle(std::shared_ptr<Impl> /*self*/, std::shared_ptr<Loop> its_loop,
                         Connecting transport) {
    if (sessions >= kMaxSessions) {
      refusals.Say(ResourceExhausted("{} sessions are open", sessions));
      co_return;
    }
    const auto place = connecting.insert(connecting.end(), transport);
    if (connecting.size() > kMaxConnecting) {
      (*connecting.front())->Close();
    }
    Accepted accepted;
    {
      const Alarm limit(*its_loop, limits.request, [transport] {
        if (*transport) {
          (*transport)->Close();
        }
      });
      const ConnectionParts parts{its_loop,       executor, tokens, config.idle_timeout,
                                  limits.streams, refusals};
      accepted = co_await AcceptClient(parts, transport);
    }
    connecting.erase(place);
    transport.reset();
    if (accepted.session) {
      ++sessions;
      co_await accepted.session->Serve(std::move(accepted.early));
      --sessions;
    }
  }

  const config::Streaming config;
  const Limits limits;
  Executor& executor;
  TokenTable tokens;
  UniqueFd listener;
  bool v6 = false;
  std::string url;

  absl::Mutex mutex;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  std::thread thread ABSL_GUARDED_BY(mutex);
  std::shared_ptr<Loop> loop ABSL_GUARDED_BY(mutex);

  // Of the streaming thread.
  std::unique_ptr<Tls> tls;
  std::list<Connecting> connecting;
  size_t sessions = 0;
  RefusalLog refusals;
};

Server::Server(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  Stop();
}

void Server::Stop() {
  impl_->Stop();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Create(const config::Streaming& config,
                                                       Executor& executor, const Limits& limits) {
  auto impl = std::make_shared<Impl>(config, executor, limits);
  RETURN_IF_ERROR(impl->Bind());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

absl::StatusOr<std::string> Server::AddExec(CommandRequest request) {
  RETURN_IF_ERROR(impl_->StartThread());
  ASSIGN_OR_RETURN(const std::string token, impl_->tokens.Add(std::move(request)));
  return impl_->url + kExecPath + token;
}

absl::StatusOr<std::string> Server::AddAttach(CommandRequest request) {
  RETURN_IF_ERROR(impl_->StartThread());
  ASSIGN_OR_RETURN(const std::string token, impl_->tokens.Add(std::move(request)));
  return impl_->url + kAttachPath + token;
}

absl::StatusOr<std::string> Server::AddPortForward(PortForwardRequest request) {
  RETURN_IF_ERROR(impl_->StartThread());
  ASSIGN_OR_RETURN(const std::string token, impl_->tokens.Add(std::move(request)));
  return impl_->url + kPortForwardPath + token;
}

}  // namespace davit::server::streaming
