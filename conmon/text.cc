// SPDX-License-Identifier: Apache-2.0
#include "conmon/text.h"

namespace davit::conmon {
namespace {

bool IsSpace(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Digits from `*position` on; false if there is none or too many.
bool TakeNumber(Text text, size_t* position, uint64_t* value) {
  const size_t begin = *position;
  uint64_t number = 0;
  while (*position < text.size && IsDigit(text.data[*position])) {
    if (__builtin_mul_overflow(number, 10U, &number) ||
        __builtin_add_overflow(number, static_cast<uint64_t>(text.data[*position] - '0'),
                               &number)) {
      return false;
    }
    ++*position;
  }
  *value = number;
  return *position > begin;
}

}  // namespace

bool Equal(Text a, Text b) {
  return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

bool ParseNumber(Text text, uint64_t* value) {
  size_t position = 0;
  while (position < text.size && IsSpace(text.data[position])) {
    ++position;
  }
  if (!TakeNumber(text, &position, value)) {
    return false;
  }
  while (position < text.size && IsSpace(text.data[position])) {
    ++position;
  }
  return position == text.size;
}

bool FindKeyed(Text text, Text key, uint64_t* value) {
  size_t line = 0;
  while (line + key.size < text.size) {
    if (Equal({text.data + line, key.size}, key) && text.data[line + key.size] == ' ') {
      size_t position = line + key.size + 1;
      return TakeNumber(text, &position, value);
    }
    const void* end = memchr(text.data + line, '\n', text.size - line);
    if (end == nullptr) {
      return false;
    }
    line = static_cast<size_t>(static_cast<const char*>(end) - text.data) + 1;
  }
  return false;
}

bool StatField(Text stat, int index, uint64_t* value) {
  size_t position = stat.size;
  while (position > 0 && stat.data[position - 1] != ')') {
    --position;
  }
  if (position == 0) {
    return false;
  }
  for (int field = 2; field < index; ++field) {  // each space ends a field; ')' ended the second
    while (position < stat.size && stat.data[position] != ' ') {
      ++position;
    }
    if (position++ >= stat.size) {
      return false;
    }
  }
  return TakeNumber(stat, &position, value);
}

size_t FormatNumber(uint64_t value, char* out) {
  char reversed[20];
  size_t count = 0;
  do {
    reversed[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  for (size_t i = 0; i < count; ++i) {
    out[i] = reversed[count - 1 - i];
  }
  return count;
}

}  // namespace davit::conmon
