// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/spdy/spdy_mux.h"

#include <algorithm>
#include <vector>

#include "base/status.h"

namespace davit::server::streaming::spdy {
namespace {

constexpr size_t kMaxDataFrame = size_t{64} << 10U;
constexpr size_t kGiveBackAt = kInitialWindow / 2;

absl::Status Malformed(const ControlFrame& frame) {
  return InvalidArgument("a SPDY control frame of type {} with {} bytes", frame.type,
                         frame.payload.size());
}

}  // namespace

absl::Status Mux::Feed(std::string_view bytes, MuxEvents& events) {
  if (finished_) {
    return absl::OkStatus();  // we said good-bye: what still comes is not for anybody
  }
  events_ = &events;
  absl::Status status = parser_.Feed(bytes, *this);
  events_ = nullptr;
  if (!status.ok() && !finished_) {
    AppendPair(output_, FrameType::kGoAway, last_id_,
               static_cast<uint32_t>(GoAwayCode::kProtocolError));
    finished_ = true;
  }
  return status;
}

absl::Status Mux::OnControl(const ControlFrame& frame) {
  const auto fixed = [&](size_t size) { return frame.payload.size() >= size; };
  switch (static_cast<FrameType>(frame.type)) {
    case FrameType::kSynStream:
      return fixed(10) ? OnSynStream(frame) : Malformed(frame);
    case FrameType::kHeaders:
      return fixed(4) ? OnHeaders(frame) : Malformed(frame);
    case FrameType::kSettings:
      return fixed(4) ? OnSettings(frame) : Malformed(frame);
    case FrameType::kSynReply:
      return InvalidArgument("a SPDY reply to a stream that this server did not open");
    case FrameType::kRstStream:
      if (!fixed(8)) {
        return Malformed(frame);
      }
      if (const StreamId id = ReadU32(frame.payload, 0); streams_.count(id) != 0) {
        Forget(id);
        events_->OnReset(id);
      }
      return absl::OkStatus();
    case FrameType::kPing:
      if (!fixed(4)) {
        return Malformed(frame);
      }
      // Even numbers would be answers to ours, of which there are none.
      if (ReadU32(frame.payload, 0) % 2 == 1) {
        AppendControl(output_, FrameType::kPing, 0, frame.payload.substr(0, 4));
      }
      return absl::OkStatus();
    case FrameType::kGoAway:
      refusing_ = true;  // what is open goes on
      return absl::OkStatus();
    case FrameType::kWindowUpdate:
      return fixed(8) ? OnWindowUpdate(ReadU32(frame.payload, 0) & kMaxStreamId,
                                       ReadU32(frame.payload, 4))
                      : Malformed(frame);
  }
  return absl::OkStatus();  // unknown ones are to be ignored
}

absl::Status Mux::ReadHeaders(std::string_view block, Headers& headers) {
  if (!reader_) {
    return absl::OkStatus();  // no stream is opened any more: nobody needs them
  }
  ASSIGN_OR_RETURN(headers, reader_->Read(block));
  return absl::OkStatus();
}

absl::Status Mux::CheckNewStream(StreamId id) {
  if (id % 2 == 0 || id <= last_id_) {
    return InvalidArgument("a SPDY stream with the ID {} after {}", id, last_id_);
  }
  last_id_ = id;
  return absl::OkStatus();
}

absl::Status Mux::OnSynStream(const ControlFrame& frame) {
  const StreamId id = ReadU32(frame.payload, 0) & kMaxStreamId;
  Headers headers;
  RETURN_IF_ERROR(ReadHeaders(frame.payload.substr(10), headers));
  if (streams_.count(id) != 0) {
    Fail(id, ResetCode::kProtocolError);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckNewStream(id));
  if (refusing_ || streams_.size() >= kMaxStreams) {
    SendReset(id, ResetCode::kRefusedStream);
    return absl::OkStatus();
  }
  Stream stream;
  stream.ended = (frame.flags & kFlagUnidirectional) != 0;
  const bool replied = !stream.ended;
  streams_.emplace(id, stream);
  // First the reply: the owner may send at once, and clients drop data that comes before it.
  if (replied) {
    RETURN_IF_ERROR(Reply(id));
  }
  if (!events_->OnStream(id, headers)) {
    Abandon(id, ResetCode::kRefusedStream);
  } else if ((frame.flags & kFlagFin) != 0) {
    ClientEnds(id);
  }
  return absl::OkStatus();
}

absl::Status Mux::Reply(StreamId id) {
  if (!writer_) {
    writer_ = std::make_unique<HeaderWriter>();
  }
  ASSIGN_OR_RETURN(const std::string block, writer_->Write({}));
  std::string payload;
  AppendU32(payload, id);
  AppendControl(output_, FrameType::kSynReply, 0, payload + block);
  return absl::OkStatus();
}

absl::Status Mux::OnHeaders(const ControlFrame& frame) {
  const StreamId id = ReadU32(frame.payload, 0) & kMaxStreamId;
  Headers ignored;
  RETURN_IF_ERROR(ReadHeaders(frame.payload.substr(4), ignored));
  if (streams_.count(id) == 0) {
    SendReset(id, ResetCode::kInvalidStream);
  } else if ((frame.flags & kFlagFin) != 0) {
    ClientEnds(id);
  }
  return absl::OkStatus();
}

absl::Status Mux::OnSettings(const ControlFrame& frame) {
  constexpr size_t kEntry = 8;
  const size_t count = ReadU32(frame.payload, 0);
  if ((frame.payload.size() - 4) / kEntry < count) {
    return Malformed(frame);
  }
  for (size_t i = 0; i < count; ++i) {
    const uint32_t id = ReadU32(frame.payload, 4 + i * kEntry) & 0x00ffffffU;
    const int64_t value = ReadU32(frame.payload, 8 + i * kEntry);
    if (id != kSettingInitialWindow) {
      continue;
    }
    if (value > kMaxWindow) {
      return InvalidArgument("a SPDY window of {} bytes", value);
    }
    client_has_windows_ = true;
    // The windows of streams may go below 0: then they wait until the client has made up for it.
    initial_window_ = value;
  }
  return absl::OkStatus();
}

absl::Status Mux::OnWindowUpdate(uint32_t id, uint32_t delta) {
  const int64_t size = delta & static_cast<uint32_t>(kMaxWindow);
  client_has_windows_ = true;
  if (id == 0) {
    session_window_ += size;
    return size > 0 && session_window_ <= kMaxWindow
               ? absl::OkStatus()
               : InvalidArgument("a SPDY session window that cannot be");
  }
  const auto found = streams_.find(id);
  if (found == streams_.end()) {
    return absl::OkStatus();  // it has ended meanwhile
  }
  found->second.credit += size;
  if (size == 0 || WindowOf(found->second) > kMaxWindow) {
    Fail(id, ResetCode::kFlowControlError);
  }
  return absl::OkStatus();
}

absl::Status Mux::OnData(uint32_t id, std::string_view data, bool end) {
  const auto found = streams_.find(id);
  if (id == 0 || found == streams_.end()) {
    if (id > last_id_ || id == 0) {
      return InvalidArgument("SPDY data on stream {}, which was never opened", id);
    }
    return absl::OkStatus();  // on its way when the stream ended
  }
  Stream& stream = found->second;
  if (stream.client_ended) {
    Fail(id, ResetCode::kStreamAlreadyClosed);
    return absl::OkStatus();
  }
  if (client_has_windows_ && stream.held + data.size() > static_cast<size_t>(kInitialWindow)) {
    Fail(id, ResetCode::kFlowControlError);
    return absl::OkStatus();
  }
  if (!data.empty()) {
    stream.held += data.size();
    held_ += data.size();
    events_->OnData(id, data);
  }
  if (end) {
    ClientEnds(id);
  }
  return absl::OkStatus();
}

void Mux::ClientEnds(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.client_ended) {
    return;
  }
  found->second.client_ended = true;
  events_->OnEnd(id);
  // The owner may have ended it, too.
  if (const auto again = streams_.find(id); again != streams_.end() && again->second.ended) {
    Forget(id);
  }
}

bool Mux::Accepts(StreamId id) const {
  const auto found = streams_.find(id);
  return !finished_ && found != streams_.end() && !found->second.ended;
}

size_t Mux::Room(StreamId id) const {
  if (!Accepts(id)) {
    return 0;
  }
  int64_t room = static_cast<int64_t>(OutputRoom());
  if (client_has_windows_) {
    room = std::min({room, WindowOf(streams_.at(id)), session_window_});
  }
  return room > 0 ? static_cast<size_t>(room) : 0;
}

void Mux::Send(StreamId id, std::string_view data) {
  const auto found = streams_.find(id);
  if (finished_ || found == streams_.end() || found->second.ended) {
    return;
  }
  found->second.credit -= static_cast<int64_t>(data.size());
  session_window_ -= static_cast<int64_t>(data.size());
  while (!data.empty()) {
    const std::string_view part = data.substr(0, kMaxDataFrame);
    AppendData(output_, id, part, false);
    data.remove_prefix(part.size());
  }
}

void Mux::End(StreamId id) {
  const auto found = streams_.find(id);
  if (finished_ || found == streams_.end() || found->second.ended) {
    return;
  }
  found->second.ended = true;
  AppendData(output_, id, {}, true);
  if (found->second.client_ended) {
    Forget(id);
  }
}

void Mux::Consume(StreamId id, size_t bytes) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) {
    return;  // Forget has accounted for it
  }
  held_ -= bytes;
  found->second.held -= bytes;
  found->second.consumed += bytes;
  session_consumed_ += bytes;
  if (!found->second.client_ended) {
    GiveBack(id, found->second.consumed);
  }
  GiveBack(0, session_consumed_);
}

void Mux::GiveBack(StreamId id, size_t& consumed) {
  if (consumed >= kGiveBackAt && !finished_) {
    AppendPair(output_, FrameType::kWindowUpdate, id, static_cast<uint32_t>(consumed));
    consumed = 0;
  }
}

void Mux::Forget(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) {
    return;
  }
  held_ -= found->second.held;
  session_consumed_ += found->second.held;
  streams_.erase(found);
  GiveBack(0, session_consumed_);
}

void Mux::SendReset(StreamId id, ResetCode code) {
  if (!finished_) {
    AppendPair(output_, FrameType::kRstStream, id, static_cast<uint32_t>(code));
  }
}

void Mux::Abandon(StreamId id, ResetCode code) {
  if (streams_.count(id) != 0) {
    SendReset(id, code);
    Forget(id);
  }
}

void Mux::Fail(StreamId id, ResetCode code) {
  Abandon(id, code);
  events_->OnReset(id);
}

void Mux::RefuseMore() {
  refusing_ = true;
  reader_.reset();
  writer_.reset();
}

void Mux::Finish() {
  if (!finished_) {
    AppendPair(output_, FrameType::kGoAway, last_id_, static_cast<uint32_t>(GoAwayCode::kOk));
    finished_ = true;
  }
}

}  // namespace davit::server::streaming::spdy
