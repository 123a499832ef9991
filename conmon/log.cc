// SPDX-License-Identifier: Apache-2.0
#include "conmon/log.h"

namespace davit::conmon {

void Log::Limit(uint64_t rate, uint64_t size) {
  limit_.Set(rate);
  rate_ = rate;
  max_size_ = size;
}

Refusal Log::Admit(size_t bytes, int64_t now_ms) {
  const uint64_t more = unwritten_ + bytes;
  if (max_size_ > 0 && file.size() + more > max_size_) {
    file.MeasureSize();
    if (file.size() + more > max_size_) {
      return Refusal::kSize;
    }
  }
  if (!limit_.Take(bytes, now_ms)) {
    return Refusal::kRate;
  }
  unwritten_ = more;
  return Refusal::kNone;
}

bool Log::Recovered(Refusal refusal, int64_t now_ms) {
  switch (refusal) {
    case Refusal::kNone:
      return true;
    case Refusal::kRate:
      return limit_.Ready(now_ms);
    case Refusal::kSize:
      file.MeasureSize();
      return file.size() < max_size_ / 2;  // a new file, or one cut short
  }
  return true;
}

void Log::CountRefused(uint64_t lines, uint64_t bytes) {
  refused_lines_ += lines;
  refused_bytes_ += bytes;
}

}  // namespace davit::conmon
