// SPDX-License-Identifier: Apache-2.0
//
// Frames of SPDY/3.1 (SPDY Protocol Draft 3.1, section 2.2 and 2.6). All numbers are in network
// byte order. The parser keeps at most one control frame; data is passed on as it comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace davit::server::streaming::spdy {

inline constexpr uint16_t kVersion = 3;
inline constexpr size_t kFrameHeader = 8;
// The longest control frame that is accepted: far more than any header block of a Kubernetes
// client.
inline constexpr size_t kMaxControl = size_t{16} << 10U;
inline constexpr uint32_t kMaxStreamId = 0x7fffffff;
inline constexpr int64_t kMaxWindow = 0x7fffffff;
inline constexpr int64_t kInitialWindow = 65536;

enum class FrameType : uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

inline constexpr uint8_t kFlagFin = 1;
inline constexpr uint8_t kFlagUnidirectional = 2;

// Of RST_STREAM.
enum class ResetCode : uint32_t {
  kProtocolError = 1,
  kInvalidStream = 2,
  kRefusedStream = 3,
  kCancel = 5,
  kFlowControlError = 7,
  kStreamInUse = 8,
  kStreamAlreadyClosed = 9,
};

// Of GOAWAY.
enum class GoAwayCode : uint32_t { kOk = 0, kProtocolError = 1 };

inline constexpr uint32_t kSettingInitialWindow = 7;

struct ControlFrame {
  uint16_t type;  // a FrameType, or one that is to be ignored
  uint8_t flags;
  std::string_view payload;
};

class FrameHandler {
 public:
  virtual absl::Status OnControl(const ControlFrame& frame) = 0;
  // A part of a data frame; `end` with the last part of one that has the FIN flag.
  virtual absl::Status OnData(uint32_t stream, std::string_view data, bool end) = 0;

 protected:
  ~FrameHandler() = default;
};

class FrameParser {
 public:
  // InvalidArgument: another version, a control frame that is too long, or what the handler said.
  absl::Status Feed(std::string_view bytes, FrameHandler& handler);

 private:
  absl::Status Header(FrameHandler& handler);

  std::string pending_;  // a frame header, then the rest of a control frame
  uint32_t data_stream_ = 0;
  size_t data_left_ = 0;
  bool data_fin_ = false;
};

// Reads the number at `at`; the caller has checked the size.
[[nodiscard]] uint32_t ReadU32(std::string_view bytes, size_t at);
void AppendU32(std::string& out, uint32_t value);

// Each appends one whole frame to `out`.
void AppendControl(std::string& out, FrameType type, uint8_t flags, std::string_view payload);
void AppendData(std::string& out, uint32_t stream, std::string_view data, bool fin);
void AppendPair(std::string& out, FrameType type, uint32_t first, uint32_t second);

}  // namespace davit::server::streaming::spdy
