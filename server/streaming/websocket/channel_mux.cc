// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/websocket/channel_mux.h"

#include <algorithm>
#include <utility>

#include <openssl/evp.h>

#include "base/status.h"

namespace davit::server::streaming::websocket {
namespace {

constexpr size_t kCloseSignal = 255;
// Of one message in a base64 form, which is decoded as a whole.
constexpr size_t kMaxEncoded = size_t{128} << 10U;
// Base64 of three bytes takes four.
constexpr size_t kPlainPerEncoded = 3;
constexpr size_t kEncodedPerPlain = 4;

}  // namespace

absl::StatusOr<std::string> DecodeBase64(std::string_view text) {
  const auto refuse = [] { return InvalidArgument("text that is not base64"); };
  if (text.size() % kEncodedPerPlain != 0) {
    return refuse();
  }
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') {
    ++padding;
  }
  for (const char c : text.substr(0, text.size() - padding)) {
    const bool known = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '+' || c == '/';
    if (!known) {
      return refuse();
    }
  }
  std::string bytes(text.size() / kEncodedPerPlain * kPlainPerEncoded, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size != static_cast<int>(bytes.size())) {
    return refuse();
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / kPlainPerEncoded * kEncodedPerPlain + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

absl::Status ChannelMux::Feed(std::string_view bytes, MuxEvents& events) {
  if (finished_) {
    return absl::OkStatus();
  }
  events_ = &events;
  absl::Status status = parser_.Feed(bytes, *this);
  events_ = nullptr;
  if (!status.ok() && !finished_) {
    AppendClose(output_, CloseCode::kProtocolError, Message(status));
    finished_ = true;
  }
  return status;
}

absl::Status ChannelMux::OnMessage(std::string_view part, bool end) {
  if (client_finished_) {
    return absl::OkStatus();
  }
  if (format_.base64) {
    return OnEncoded(part, end);
  }
  if (!message_open_ && !part.empty()) {
    channel_ = static_cast<uint8_t>(part.front());
    message_open_ = true;
    part.remove_prefix(1);
  }
  if (message_open_) {
    OnBytes(part);
  }
  if (!end) {
    return absl::OkStatus();
  }
  const bool was_signal = message_open_ && format_.close_signal && channel_ == kCloseSignal;
  message_open_ = false;
  return was_signal ? OnCloseSignal() : absl::OkStatus();
}

absl::Status ChannelMux::OnEncoded(std::string_view part, bool end) {
  encoded_.append(part);
  if (encoded_.size() > kMaxEncoded) {
    return InvalidArgument("a base64 message of more than {} bytes", kMaxEncoded);
  }
  if (!end || encoded_.empty()) {
    return absl::OkStatus();
  }
  const std::string message = std::exchange(encoded_, {});
  ASSIGN_OR_RETURN(const std::string bytes, DecodeBase64(std::string_view(message).substr(1)));
  Deliver(static_cast<size_t>(static_cast<uint8_t>(message.front() - '0')), bytes);
  return absl::OkStatus();
}

void ChannelMux::OnBytes(std::string_view part) {
  if (format_.close_signal && channel_ == kCloseSignal) {
    close_signal_.append(part.substr(0, 2 - close_signal_.size()));
    return;
  }
  Deliver(channel_, part);
}

absl::Status ChannelMux::OnCloseSignal() {
  const std::string signal = std::exchange(close_signal_, {});
  if (signal.size() != 1 || static_cast<uint8_t>(signal.front()) >= channels_.size()) {
    return InvalidArgument("a signal to close that names no channel");
  }
  const size_t id = static_cast<uint8_t>(signal.front());
  if (!channels_[id].client_ended) {
    channels_[id].client_ended = true;
    events_->OnEnd(static_cast<StreamId>(id));
  }
  return absl::OkStatus();
}

// Unknown channels are of a later protocol; what comes after the end is dropped.
void ChannelMux::Deliver(size_t channel, std::string_view data) {
  if (channel >= channels_.size() || channels_[channel].client_ended || data.empty()) {
    return;
  }
  channels_[channel].held += data.size();
  held_ += data.size();
  events_->OnData(static_cast<StreamId>(channel), data);
}

void ChannelMux::OnPing(std::string_view payload) {
  if (!finished_) {
    AppendPong(output_, payload);
  }
}

void ChannelMux::OnClose(std::string_view /*payload*/) {
  client_finished_ = true;
  Finish();
}

bool ChannelMux::Accepts(StreamId id) const {
  return !finished_ && id < channels_.size() && !channels_[id].ended;
}

size_t ChannelMux::Room(StreamId id) const {
  const size_t room = Accepts(id) ? OutputRoom() : 0;
  return format_.base64 ? room / kEncodedPerPlain * kPlainPerEncoded : room;
}

void ChannelMux::Send(StreamId id, std::string_view data) {
  if (finished_ || id >= channels_.size() || channels_[id].ended) {
    return;
  }
  const char channel = static_cast<char>(format_.base64 ? '0' + id : id);
  if (format_.base64) {
    AppendMessage(output_, MessageKind::kText, {&channel, 1}, EncodeBase64(data));
  } else {
    AppendMessage(output_, MessageKind::kBinary, {&channel, 1}, data);
  }
}

// The protocols have no word for it in this direction.
void ChannelMux::End(StreamId id) {
  if (id < channels_.size()) {
    channels_[id].ended = true;
  }
}

void ChannelMux::Reset(StreamId id) {
  if (id < channels_.size()) {
    Consume(id, channels_[id].held);
    channels_[id].ended = true;
    channels_[id].client_ended = true;
  }
}

void ChannelMux::Consume(StreamId id, size_t bytes) {
  if (id < channels_.size()) {
    const size_t done = std::min(bytes, channels_[id].held);
    channels_[id].held -= done;
    held_ -= done;
  }
}

void ChannelMux::Finish() {
  if (!finished_) {
    AppendClose(output_, CloseCode::kNormal, "");
    finished_ = true;
  }
}

}  // namespace davit::server::streaming::websocket
