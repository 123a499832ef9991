// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

// The CRI's name of a signal number: glibc's range of real-time signals is 34 to 64.
std::string NameOfNumber(uint64_t number) {
  constexpr uint64_t kRtMin = 34;
  constexpr uint64_t kRtMax = 64;
  if (number >= kRtMin && number <= kRtMax) {
    if (number <= kRtMin + 15) {
      return number == kRtMin ? "SIGRTMIN" : fmt::format("SIGRTMINPLUS{}", number - kRtMin);
    }
    return number == kRtMax ? "SIGRTMAX" : fmt::format("SIGRTMAXMINUS{}", kRtMax - number);
  }
  const char* name = number < kRtMin ? sigabbrev_np(static_cast<int>(number)) : nullptr;
  return name == nullptr ? "" : std::string("SIG") + name;
}

// "term", "SIGTERM", "15", "SIGRTMIN+3" -> the name within the CRI's enum.
std::string CriName(const std::string& text) {
  if (const std::optional<uint64_t> number = ParseUint(text)) {
    return NameOfNumber(*number);
  }
  std::string name = text;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (name.rfind("SIG", 0) != 0) {
    name.insert(0, "SIG");
  }
  if (const size_t sign = name.find_first_of("+-"); sign != std::string::npos) {
    name.replace(sign, 1, name[sign] == '+' ? "PLUS" : "MINUS");
  }
  return name;
}

}  // namespace

absl::StatusOr<runtime::v1::Signal> ResolveStopSignal(const SpecInput& input) {
  if (input.container.stop_signal() != runtime::v1::SIGNAL_RUNTIME_DEFAULT) {
    if (!runtime::v1::Signal_IsValid(input.container.stop_signal())) {
      return InvalidArgument("stop_signal {}: unknown value",
                             static_cast<int>(input.container.stop_signal()));
    }
    return input.container.stop_signal();
  }
  if (input.image.stop_signal.empty()) {
    return runtime::v1::SIGNAL_RUNTIME_DEFAULT;
  }
  runtime::v1::Signal signal = runtime::v1::SIGNAL_RUNTIME_DEFAULT;
  const std::string name = CriName(input.image.stop_signal);
  if (name.empty() || !runtime::v1::Signal_Parse("SIGNAL_" + name, &signal)) {
    return InvalidArgument("image stop signal \"{}\": no such signal",
                           Printable(input.image.stop_signal));
  }
  return signal;
}

}  // namespace davit::server::spec
