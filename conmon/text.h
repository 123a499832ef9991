// SPDX-License-Identifier: Apache-2.0
//
// Text without a heap: a view, and a builder with a fixed capacity. (The monitor is compiled
// without the C++ library, hence no string_view.)
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace davit::conmon {

// Borrowed bytes.
struct Text {
  constexpr Text(const char* bytes, size_t length) : data(bytes), size(length) {}
  constexpr Text(const char* c_string) : data(c_string), size(__builtin_strlen(c_string)) {}

  const char* data;
  size_t size;
};

bool Equal(Text a, Text b);
// The decimal number that the text is (white space around it allowed); false if it is none.
bool ParseNumber(Text text, uint64_t* value);
// The number that follows `key` and a space at the beginning of a line of a cgroup file.
bool FindKeyed(Text text, Text key, uint64_t* value);
// Field `index` (from 1) of /proc/PID/stat; counts behind the command, which may hold anything.
bool StatField(Text stat, int index, uint64_t* value);

// Writes the decimal digits to `out` (at most 20) and returns how many.
size_t FormatNumber(uint64_t value, char* out);

// Always NUL-terminated; what does not fit is cut off and remembered.
template <size_t N>
class FixedText {
 public:
  FixedText& operator<<(Text text) {
    const size_t room = N - 1 - size_;
    const size_t count = text.size < room ? text.size : room;
    memcpy(data_ + size_, text.data, count);
    size_ += count;
    data_[size_] = '\0';
    truncated_ = truncated_ || count < text.size;
    return *this;
  }
  FixedText& operator<<(const char* text) { return *this << Text(text); }
  FixedText& operator<<(uint64_t value) {
    char digits[20];
    return *this << Text(digits, FormatNumber(value, digits));
  }

  [[nodiscard]] const char* c_str() const { return data_; }
  [[nodiscard]] Text text() const { return {data_, size_}; }
  [[nodiscard]] bool truncated() const { return truncated_; }

 private:
  char data_[N] = {};
  size_t size_ = 0;
  bool truncated_ = false;
};

}  // namespace davit::conmon
