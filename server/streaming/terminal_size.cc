// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/terminal_size.h"

#include <cstdint>
#include <utility>

#include "base/json.h"

namespace davit::server::streaming {
namespace {

constexpr size_t kMaxPending = 1024;

bool InRange(int64_t value) {
  return value > 0 && value <= UINT16_MAX;
}

}  // namespace

std::vector<TerminalSize> TerminalSizes::Add(std::string_view bytes) {
  std::vector<TerminalSize> sizes;
  for (const char c : bytes) {
    if (pending_.size() >= kMaxPending) {
      pending_.clear();
    }
    pending_.push_back(c);
    if (c != '}') {
      continue;
    }
    const auto size = ParseJson(std::exchange(pending_, {}), "a terminal size", kMaxPending);
    if (!size.ok()) {
      continue;
    }
    const int64_t rows = JsonInt(*size, "Height");
    const int64_t columns = JsonInt(*size, "Width");
    if (InRange(rows) && InRange(columns)) {
      sizes.push_back({static_cast<uint16_t>(rows), static_cast<uint16_t>(columns)});
    }
  }
  return sizes;
}

}  // namespace davit::server::streaming
