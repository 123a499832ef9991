// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/command_session.h"

#include <fcntl.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "server/streaming/result.h"
#include "server/streaming/terminal_size.h"

namespace davit::server::streaming {
namespace {

using namespace std::chrono_literals;

constexpr auto kQuietTime = 100ms;   // a process left behind may still write after the command
constexpr auto kDeliveryTime = 10s;  // for what a client sent before it went away
constexpr int kResizeSince = 3;      // version of the protocol

// In the order of the WebSocket channels.
enum Role : size_t { kIn, kOut, kErr, kError, kSize, kRoles };
static_assert(kRoles == kCommandChannels);

constexpr std::array<const char*, kRoles> kTypes = {"stdin", "stdout", "stderr", "error", "resize"};

class CommandSession final : public Session {
 public:
  CommandSession(SessionParts parts, CommandRequest request, int version, StreamOpening opening)
      : Session(std::move(parts)),
        request_(std::move(request)),
        version_(version),
        opening_(opening),
        wanted_{request_.in, request_.out, request_.err, true,
                request_.tty && version >= kResizeSince},
        inbox_(std::make_shared<Inbox>(loop())),
        changed_(loop()),
        in_(loop()),
        out_(loop()),
        err_(loop()) {
    if (opening == StreamOpening::kImplicit) {
      for (size_t role = 0; role < kRoles; ++role) {
        if (wanted_[role]) {
          ids_[role] = static_cast<StreamId>(role);
        }
      }
    }
  }

 private:
  bool OnStream(StreamId id, const Headers& headers) override {
    const auto type = headers.find("streamtype");
    for (size_t role = 0; role < kRoles && type != headers.end(); ++role) {
      if (type->second == kTypes[role] && wanted_[role] && !ids_[role]) {
        ids_[role] = id;
        changed_.Notify();
        return true;
      }
    }
    return false;
  }

  void OnData(StreamId id, std::string_view data) override {
    if (ids_[kIn] == id) {
      Put(*inbox_, data);
      return;
    }
    if (ids_[kSize] == id) {
      for (const TerminalSize& size : sizes_.Add(data)) {
        size_ = size;
        ApplySize();
      }
    }
    mux().Consume(id, data.size());
  }

  void OnEnd(StreamId id) override {
    if (ids_[kIn] == id) {
      PutEnd(*inbox_);
    }
  }

  void OnReset(StreamId id) override {
    OnEnd(id);
    for (Descriptor* output : {&out_, &err_}) {
      if (ids_[output == &out_ ? kOut : kErr] == id) {
        output->Cancel();
      }
    }
  }

  void OnGone() override {
    PutEnd(*inbox_);
    out_.Cancel();
    err_.Cancel();
    if (endpoint_) {
      endpoint_->HangUp();
    }
    changed_.Notify();
  }

  [[nodiscard]] bool AllOpen() const {
    for (size_t role = 0; role < kRoles; ++role) {
      if (wanted_[role] && !ids_[role]) {
        return false;
      }
    }
    return true;
  }

  awaitable<bool> AwaitStreams() {
    bool late = false;
    const Alarm limit(loop(), stream_time(), [this, &late] {
      late = true;
      changed_.Notify();
    });
    while (!AllOpen() && !gone() && !late) {
      co_await changed_.Wait();
    }
    co_return AllOpen() && !gone();
  }

  awaitable<void> Work() override {
    const bool open = co_await AwaitStreams();
    if (!open) {
      if (!gone()) {
        log::Info("{}: the client did not open its streams within {} s", request_.what,
                  std::chrono::duration<double>(stream_time()).count());
      }
      co_return;
    }
    mux().RefuseMore();
    if (opening_ == StreamOpening::kImplicit) {
      // Tells the client that it is connected.
      mux().Send(*ids_[request_.out ? kOut : request_.err ? kErr : kError], "");
      Flush();
    }
    auto started = co_await OnExecutor<absl::StatusOr<std::unique_ptr<Endpoint>>>(
        shared_loop(), executor(), request_.start);
    absl::StatusOr<int> result = started.status().ok() ? absl::StatusOr<int>(0) : started.status();
    if (started.ok()) {
      endpoint_ = *std::move(started);
      result = co_await Run();
    }
    if (!result.ok()) {
      log::Info("{}: {}", request_.what, Message(result.status()));
    }
    co_await Tell(result);
  }

  // While the command runs, and until its output is with the client.
  awaitable<absl::StatusOr<int>> Run() {
    if (gone()) {
      endpoint_->HangUp();
    }
    ApplySize();
    StartPumps();
    absl::StatusOr<int> result = 0;
    if (endpoint_->exit_fd() >= 0) {
      result = co_await AwaitExit();
      co_await Drain();
    } else {
      co_await AwaitDetach();
    }
    PutEnd(*inbox_);
    in_.Close();
    co_return result;
  }

  void StartPumps() {
    const auto self = shared_from_this();
    if (endpoint_->in.valid() && in_.Open(std::move(endpoint_->in))) {
      pumps_in_ = 1;
      asio::co_spawn(loop().context(), FeedCommand(self), asio::detached);
    }
    if (endpoint_->out.valid() && out_.Open(std::move(endpoint_->out))) {
      ++pumps_out_;
      asio::co_spawn(loop().context(), ReadCommand(self, out_, *ids_[kOut]), asio::detached);
    }
    if (endpoint_->err.valid() && err_.Open(std::move(endpoint_->err))) {
      ++pumps_out_;
      asio::co_spawn(loop().context(), ReadCommand(self, err_, *ids_[kErr]), asio::detached);
    }
  }

  awaitable<void> FeedCommand(std::shared_ptr<Session> /*self*/) {
    co_await PumpIn(inbox_, *ids_[kIn], in_);
    pumps_in_ = 0;
    changed_.Notify();
  }

  awaitable<void> ReadCommand(std::shared_ptr<Session> /*self*/, Descriptor& from, StreamId to) {
    co_await PumpOut(from, to, draining_);
    --pumps_out_;
    changed_.Notify();
  }

  // Also when the client is gone: who else would wait for the command?
  awaitable<absl::StatusOr<int>> AwaitExit() {
    Descriptor exit(loop());
    if (!exit.Open(UniqueFd(fcntl(endpoint_->exit_fd(), F_DUPFD_CLOEXEC, 0)))) {
      co_return Internal("{}: its end cannot be waited for", request_.what);
    }
    while (true) {
      co_await exit.Readable();
      absl::StatusOr<std::optional<int>> code = endpoint_->ReadExit();
      if (!code.ok()) {
        co_return code.status();
      }
      if (code->has_value()) {
        co_return **code;
      }
    }
  }

  // What the command wrote before its end is in the pipes; what writes later is given a moment.
  awaitable<void> Drain() {
    const Alarm quiet(loop(), kQuietTime, [this] {
      draining_ = true;
      out_.Cancel();
      err_.Cancel();
    });
    while (pumps_out_ > 0 && !gone()) {
      co_await changed_.Wait();
    }
  }

  // Attach: until the outputs end with the container, or there are none, the input; or until the
  // client goes away.
  awaitable<void> AwaitDetach() {
    const bool has_outputs = pumps_out_ > 0;
    while (!gone() && (has_outputs ? pumps_out_ > 0 : pumps_in_ > 0)) {
      co_await changed_.Wait();
    }
    if (!gone() || pumps_in_ == 0) {
      co_return;
    }
    const Alarm limit(loop(), kDeliveryTime, [this] { in_.Close(); });
    while (pumps_in_ > 0) {
      co_await changed_.Wait();
    }
  }

  awaitable<void> Tell(const absl::StatusOr<int>& result) {
    co_await SendText(*ids_[kError], ResultText(result, version_));
    for (const auto& id : ids_) {
      if (id) {
        mux().End(*id);
      }
    }
  }

  void ApplySize() {
    if (endpoint_ && size_) {
      endpoint_->Resize(*size_);
    }
  }

  const CommandRequest request_;
  const int version_;
  const StreamOpening opening_;
  const std::array<bool, kRoles> wanted_;
  std::array<std::optional<StreamId>, kRoles> ids_;
  std::shared_ptr<Inbox> inbox_;
  TerminalSizes sizes_;
  std::optional<TerminalSize> size_;
  std::unique_ptr<Endpoint> endpoint_;
  Signal changed_;
  Descriptor in_;
  Descriptor out_;
  Descriptor err_;
  int pumps_in_ = 0;
  int pumps_out_ = 0;
  bool draining_ = false;
};

}  // namespace

std::shared_ptr<Session> MakeCommandSession(SessionParts parts, CommandRequest request, int version,
                                            StreamOpening opening) {
  return std::make_shared<CommandSession>(std::move(parts), std::move(request), version, opening);
}

}  // namespace davit::server::streaming
