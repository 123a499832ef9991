// SPDX-License-Identifier: Apache-2.0
#include "base/cpus.h"

#include <sched.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr size_t kBitsOfWord = sizeof(unsigned long) * CHAR_BIT;
constexpr size_t kBitsOfMaskWord = 32;

absl::Status Wrong(std::string_view text) {
  return InvalidArgument("\"{}\" is no list of CPUs such as 0-2,7", Printable(text, 100));
}

}  // namespace

absl::StatusOr<CpuSet> ParseCpuList(std::string_view text) {
  CpuSet cpus;
  const std::string_view trimmed = Trim(text);
  if (trimmed.empty()) {
    return cpus;
  }
  for (const std::string& part : Split(trimmed, ',')) {
    const size_t dash = part.find('-');
    const auto first = ParseUint(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : ParseUint(part.substr(dash + 1));
    if (!first || !last || *first > *last || *last >= kMaxCpus) {
      return Wrong(text);
    }
    for (uint64_t cpu = *first; cpu <= *last; ++cpu) {
      cpus.insert(static_cast<int>(cpu));
    }
  }
  return cpus;
}

std::string CpuListText(const CpuSet& cpus) {
  std::string text;
  for (auto first = cpus.begin(); first != cpus.end();) {
    auto last = first;
    auto next = std::next(first);
    while (next != cpus.end() && *next == *last + 1) {
      last = next++;
    }
    text += (text.empty() ? "" : ",") + std::to_string(*first);
    if (last != first) {
      text += "-" + std::to_string(*last);
    }
    first = next;
  }
  return text;
}

absl::StatusOr<CpuSet> ParseCpuMask(std::string_view text) {
  const std::vector<std::string> words = Split(Trim(text), ',');
  CpuSet cpus;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[words.size() - 1 - i];
    uint32_t bits = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), bits, 16);
    if (error != std::errc() || end != word.data() + word.size() ||
        i >= kMaxCpus / kBitsOfMaskWord) {
      return InvalidArgument("\"{}\" is no mask of CPUs such as ff,00000001", Printable(text, 100));
    }
    for (size_t bit = 0; bit < kBitsOfMaskWord; ++bit) {
      if ((bits >> bit & 1U) != 0) {
        cpus.insert(static_cast<int>(i * kBitsOfMaskWord + bit));
      }
    }
  }
  return cpus;
}

std::string CpuMaskText(const CpuSet& cpus) {
  std::vector<uint32_t> words(1);
  for (const int cpu : cpus) {
    const auto bit = static_cast<size_t>(cpu);
    words.resize(bit / kBitsOfMaskWord + 1);  // the set is in order
    words.back() |= 1U << (bit % kBitsOfMaskWord);
  }
  std::string text = fmt::format("{:x}", words.back());
  for (size_t i = words.size() - 1; i > 0; --i) {
    text += fmt::format(",{:08x}", words[i - 1]);
  }
  return text;
}

std::vector<unsigned long> AffinityMask(const CpuSet& cpus) {
  std::vector<unsigned long> mask;
  for (const int cpu : cpus) {
    const auto bit = static_cast<size_t>(cpu);
    mask.resize(bit / kBitsOfWord + 1);  // the set is in order
    mask.back() |= 1UL << (bit % kBitsOfWord);
  }
  return mask;
}

absl::Status SetAffinity(pid_t thread, const CpuSet& cpus) {
  const std::vector<unsigned long> mask = AffinityMask(cpus);
  if (sched_setaffinity(thread, mask.size() * sizeof(unsigned long),
                        reinterpret_cast<const cpu_set_t*>(mask.data())) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  const absl::Status status =
      ErrnoStatus(error, fmt::format("keep process {} on CPUs {}", thread, CpuListText(cpus)));
  return error == ESRCH ? WithCode(absl::StatusCode::kNotFound, status) : status;
}

absl::StatusOr<CpuSet> GetAffinity(pid_t thread) {
  std::vector<unsigned long> mask(kMaxCpus / kBitsOfWord);
  if (sched_getaffinity(thread, mask.size() * sizeof(unsigned long),
                        reinterpret_cast<cpu_set_t*>(mask.data())) != 0) {
    const int error = errno;
    const absl::Status status =
        ErrnoStatus(error, fmt::format("read the CPUs of process {}", thread));
    return error == ESRCH ? WithCode(absl::StatusCode::kNotFound, status) : status;
  }
  CpuSet cpus;
  for (int cpu = 0; cpu < kMaxCpus; ++cpu) {
    const auto bit = static_cast<size_t>(cpu);
    if ((mask[bit / kBitsOfWord] >> (bit % kBitsOfWord) & 1U) != 0) {
      cpus.insert(cpu);
    }
  }
  return cpus;
}

}  // namespace davit
