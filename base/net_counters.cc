// SPDX-License-Identifier: Apache-2.0
#include "base/net_counters.h"

#include <fcntl.h>
#include <sched.h>

#include <array>
#include <system_error>
#include <thread>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"

namespace davit {
namespace {

constexpr size_t kColumns = 16;  // eight of receiving, eight of transmitting

NetCounters ReadOne(const std::string& pin_path) {
  NetCounters counters;
  const auto ns = Open(pin_path, O_RDONLY);
  if (!ns.ok() || setns(ns->get(), CLONE_NEWNET) != 0) {
    return counters;
  }
  if (const auto text = ReadFile("/proc/thread-self/net/dev"); text.ok()) {
    counters.timestamp_ns = NowNanos();
    counters.interfaces = internal::ParseNetDev(*text);
  }
  return counters;
}

}  // namespace

namespace internal {

std::vector<InterfaceCounters> ParseNetDev(std::string_view text) {
  std::vector<InterfaceCounters> interfaces;
  for (const std::string& line : Split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) {
      continue;  // the heading
    }
    const std::vector<std::string> words = Words(std::string_view(line).substr(colon + 1));
    const std::string name(Trim(std::string_view(line).substr(0, colon)));
    if (words.size() < kColumns || name == "lo") {
      continue;
    }
    std::array<uint64_t, kColumns> values{};
    for (size_t i = 0; i < kColumns; ++i) {
      values[i] = ParseUint(words[i]).value_or(0);
    }
    interfaces.push_back({.name = name,
                          .rx_bytes = values[0],
                          .rx_packets = values[1],
                          .rx_errors = values[2],
                          .rx_dropped = values[3],
                          .tx_bytes = values[8],
                          .tx_packets = values[9],
                          .tx_errors = values[10],
                          .tx_dropped = values[11]});
  }
  return interfaces;
}

}  // namespace internal

std::vector<NetCounters> ReadNetCounters(const std::vector<std::string>& pin_paths) {
  std::vector<NetCounters> all(pin_paths.size());
  if (pin_paths.empty()) {
    return all;
  }
  try {
    std::thread thread([&] {
      for (size_t i = 0; i < pin_paths.size(); ++i) {
        all[i] = ReadOne(pin_paths[i]);
      }
    });
    thread.join();
  } catch (const std::system_error& error) {
    log::Warning("read network counters: start a thread: {}", ErrnoText(error.code().value()));
  }
  return all;
}

}  // namespace davit
