// SPDX-License-Identifier: Apache-2.0
#include "server/cli/stream/command_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include "base/fd.h"
#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "server/cli/stream/channel_socket.h"
#include "server/cli/stream/detach_keys.h"
#include "server/cli/stream/terminal.h"

namespace davit::server::cli {
namespace {

constexpr size_t kReadBytes = size_t{16} << 10U;

// Waits for a reader that is slow; a terminal or pipe may be non-blocking without our doing.
bool WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = write(fd, data.data(), data.size());
    if (count >= 0) {
      data.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd writable = {.fd = fd, .events = POLLOUT, .revents = 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

// One session: lives until its io_context, which is run once, has ended.
class Session {
 public:
  Session(const CommandStream& stream, DetachKeys keys)
      : stream_(stream), keys_(std::move(keys)), signals_(context_) {}

  absl::StatusOr<CommandEnd> Run() {
    asio::co_spawn(context_, Serve(), asio::detached);
    context_.run();
    return std::move(end_);
  }

 private:
  awaitable<void> Serve() {
    auto socket = co_await ChannelSocket::Connect(stream_.url, stream_.ca_file);
    if (!socket.ok()) {
      Finish(socket.status());
      co_return;
    }
    socket_ = *std::move(socket);
    if (stream_.tty && IsTerminal(STDIN_FILENO)) {
      if (stream_.in) {
        raw_.emplace(STDIN_FILENO);
      }
      asio::co_spawn(context_, PassSize(), asio::detached);
    }
    if (stream_.in) {
      asio::co_spawn(context_, PassInput(), asio::detached);
    }
    Finish(co_await PassOutput());
  }

  void Finish(absl::StatusOr<CommandEnd> end) {
    end_ = std::move(end);
    raw_.reset();
    context_.stop();
  }

  awaitable<absl::StatusOr<CommandEnd>> PassOutput() {
    std::string result;
    while (true) {
      const auto message = co_await socket_->Receive();
      if (!message.ok()) {
        co_return message.status();
      }
      if (!*message) {
        break;
      }
      const ChannelMessage& part = **message;
      if (part.channel == kResultChannel) {
        result += part.data;
      } else if (part.channel == kOutputChannel || part.channel == kErrorsChannel) {
        const int fd = part.channel == kOutputChannel ? STDOUT_FILENO : STDERR_FILENO;
        if (!WriteAll(fd, part.data)) {
          co_return ErrnoStatus(errno, fd == STDOUT_FILENO ? "write to stdout" : "write to stderr");
        }
      }
    }
    const auto code = ParseResult(result);
    co_return code.ok() ? absl::StatusOr<CommandEnd>(CommandEnd{.exit_code = *code})
                        : code.status();
  }

  awaitable<void> PassInput() {
    asio::posix::stream_descriptor input(context_);
    boost::system::error_code error;
    // A regular file cannot be waited for, and need not be.
    UniqueFd copy(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
    input.assign(copy.get(), error);
    const bool pollable = !error;
    if (pollable) {
      (void)copy.Release();
    }
    std::array<char, kReadBytes> buffer;
    while (true) {
      if (pollable) {
        co_await input.async_wait(asio::posix::stream_descriptor::wait_read, kTuple);
      }
      const ssize_t count = read(STDIN_FILENO, buffer.data(), buffer.size());
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        continue;
      }
      if (count <= 0) {
        break;
      }
      const DetachKeys::Typed typed = keys_.Add({buffer.data(), static_cast<size_t>(count)});
      if (!typed.bytes.empty() && !co_await socket_->Send(kInputChannel, typed.bytes)) {
        co_return;
      }
      if (typed.detach) {
        Finish(CommandEnd{.detached = true});
        co_return;
      }
    }
    co_await socket_->End(kInputChannel);
  }

  // And whenever it changes; a signal that would end this process leaves the terminal as it was.
  awaitable<void> PassSize() {
    for (const int signal : {SIGWINCH, SIGTERM, SIGHUP}) {
      signals_.add(signal);
    }
    while (true) {
      const std::string size = TerminalSizeText(STDIN_FILENO);
      if (!size.empty()) {
        co_await socket_->Send(kSizeChannel, size);
      }
      const auto [error, signal] = co_await signals_.async_wait(kTuple);
      if (error) {
        co_return;
      }
      if (signal != SIGWINCH) {
        Finish(Cancelled("ended by signal {}", signal));
        co_return;
      }
    }
  }

  const CommandStream& stream_;
  DetachKeys keys_;
  asio::io_context context_{1};
  std::unique_ptr<ChannelSocket> socket_;
  asio::signal_set signals_;
  std::optional<RawTerminal> raw_;
  absl::StatusOr<CommandEnd> end_ = absl::UnknownError("the session has not ended");
};

}  // namespace

absl::StatusOr<int> ParseResult(const std::string& text) {
  if (text.empty()) {
    return Unavailable("the connection ended before the command did");
  }
  ASSIGN_OR_RETURN(const auto status, ParseJson(text, "the result of the command"));
  if (JsonString(status, "status") == "Success") {
    return 0;
  }
  if (JsonString(status, "reason") == "NonZeroExitCode") {
    for (const auto& cause : JsonChild(JsonChild(status, "details"), "causes")) {
      const auto code = ParseUint(JsonString(cause, "message"));
      if (JsonString(cause, "reason") == "ExitCode" && code && *code <= 255) {
        return static_cast<int>(*code);
      }
    }
  }
  return Internal("{}", JsonString(status, "message", "the command failed"));
}

absl::StatusOr<CommandEnd> RunCommandStream(const CommandStream& stream) {
  ASSIGN_OR_RETURN(DetachKeys keys, DetachKeys::Parse(stream.tty ? stream.detach_keys : ""));
  return Session(stream, std::move(keys)).Run();
}

}  // namespace davit::server::cli
