// SPDX-License-Identifier: Apache-2.0
//
// Name/value header blocks of SPDY/3.1 (section 2.6.10): compressed by one zlib stream for each
// direction, which starts with a dictionary that both sides know. A block that cannot be
// decompressed makes all later ones unreadable, so it ends the session.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "server/streaming/mux.h"

namespace davit::server::streaming::spdy {

// Of one block, decompressed: a few KiB of input may inflate to megabytes.
inline constexpr size_t kMaxHeaderBytes = size_t{16} << 10U;
inline constexpr size_t kMaxHeaders = 64;

class HeaderReader {
 public:
  HeaderReader();
  ~HeaderReader();
  HeaderReader(const HeaderReader&) = delete;
  HeaderReader& operator=(const HeaderReader&) = delete;

  // InvalidArgument for what is no header block; ResourceExhausted beyond the limits.
  absl::StatusOr<Headers> Read(std::string_view block);

 private:
  absl::StatusOr<std::string> Inflate(std::string_view block);

  struct Stream;
  std::unique_ptr<Stream> stream_;
};

class HeaderWriter {
 public:
  HeaderWriter();
  ~HeaderWriter();
  HeaderWriter(const HeaderWriter&) = delete;
  HeaderWriter& operator=(const HeaderWriter&) = delete;

  absl::StatusOr<std::string> Write(const Headers& headers);

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

// The decompressed form, for Read and for tests.
absl::StatusOr<Headers> ParseHeaders(std::string_view text);

}  // namespace davit::server::streaming::spdy
