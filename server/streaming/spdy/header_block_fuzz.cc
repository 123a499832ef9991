// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/streaming/spdy/header_block.h"

namespace {

namespace spdy = davit::server::streaming::spdy;

void CheckBounds(const davit::server::streaming::Headers& headers) {
  size_t bytes = 0;
  for (const auto& [name, value] : headers) {
    bytes += name.size() + value.size();
  }
  if (headers.size() > spdy::kMaxHeaders || bytes > spdy::kMaxHeaderBytes) {
    std::abort();
  }
}

}  // namespace

// The first byte is the length of the first of two compressed blocks of one session; all behind it
// also stands for what a block decompresses to.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t first = std::min<size_t>(data[0], bytes.size());
  spdy::HeaderReader reader;
  for (const std::string_view block : {bytes.substr(0, first), bytes.substr(first)}) {
    const auto headers = reader.Read(block);
    if (!headers.ok()) {
      break;
    }
    CheckBounds(*headers);
  }
  if (const auto headers = spdy::ParseHeaders(bytes); headers.ok()) {
    CheckBounds(*headers);
  }
  return 0;
}
