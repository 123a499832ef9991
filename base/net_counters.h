// SPDX-License-Identifier: Apache-2.0
//
// Counters of network interfaces, by network namespace. Reads of procfs: no disk, no child process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace davit {

struct InterfaceCounters {
  std::string name;
  uint64_t rx_bytes = 0;
  uint64_t rx_packets = 0;
  uint64_t rx_errors = 0;
  uint64_t rx_dropped = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_errors = 0;
  uint64_t tx_dropped = 0;
};

struct NetCounters {
  int64_t timestamp_ns = 0;
  std::vector<InterfaceCounters> interfaces;  // without lo, in the kernel's order
};

// One entry for each pinned namespace, in order; empty for one that is gone. One throwaway thread
// enters them all.
std::vector<NetCounters> ReadNetCounters(const std::vector<std::string>& pin_paths);

namespace internal {
std::vector<InterfaceCounters> ParseNetDev(std::string_view text);  // /proc/net/dev
}  // namespace internal

}  // namespace davit
