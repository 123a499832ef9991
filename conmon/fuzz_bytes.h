// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace davit::conmon {

// Takes the input of a fuzz target apart; zeros and nothing at its end.
class FuzzBytes {
 public:
  FuzzBytes(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  [[nodiscard]] bool empty() const { return at_ == end_; }
  uint8_t Next() { return empty() ? uint8_t{0} : *at_++; }
  std::string Some(size_t size) {
    const size_t count = std::min(size, static_cast<size_t>(end_ - at_));
    std::string some(reinterpret_cast<const char*>(at_), count);
    at_ += count;
    return some;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace davit::conmon
