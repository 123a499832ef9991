// SPDX-License-Identifier: Apache-2.0
//
// What the kernel counts for a cgroup beyond CgroupStats: pressure, throttling, block devices,
// huge pages. Reads of cgroup files only: kernel memory, no disk. Absent controllers and files
// leave zeros or nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cgroup.h"

namespace davit {

// Documentation/accounting/psi.rst: shares of time in percent, total in microseconds.
struct Pressure {
  struct Line {
    double avg10 = 0;
    double avg60 = 0;
    double avg300 = 0;
    uint64_t total_us = 0;
  };
  Line some;
  Line full;
};

// v2 only, and only where the kernel has PSI on: nothing otherwise.
struct CgroupPressure {
  std::optional<Pressure> cpu;
  std::optional<Pressure> memory;
  std::optional<Pressure> io;
};
CgroupPressure ReadCgroupPressure(const CgroupFs& fs, const std::string& cgroup);

struct BlockDeviceIo {
  uint64_t major = 0;
  uint64_t minor = 0;
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
  uint64_t reads = 0;
  uint64_t writes = 0;
};

struct HugepageUse {
  std::string page_size;  // "2MB"
  uint64_t usage = 0;
  uint64_t max_usage = 0;  // v2 keeps no peak: the usage
};

struct CgroupDetails {
  uint64_t cpu_user_ns = 0;
  uint64_t cpu_system_ns = 0;
  uint64_t cpu_periods = 0;
  uint64_t cpu_throttled_periods = 0;
  uint64_t cpu_throttled_ns = 0;
  uint64_t memory_cache = 0;
  uint64_t memory_mapped_file = 0;
  uint64_t memory_kernel = 0;
  uint64_t memory_max_usage = 0;
  uint64_t memory_limit_hits = 0;
  uint64_t memory_soft_limit = 0;  // 0: none
  uint64_t oom_kills = 0;
  // Of the cgroup without its descendants, where the kernel tells them apart (v1).
  std::optional<uint64_t> own_page_faults;
  std::optional<uint64_t> own_major_page_faults;
  std::optional<uint64_t> pids_limit;  // nothing: no limit
  std::vector<BlockDeviceIo> block_devices;
  std::vector<HugepageUse> hugepages;
};
// NotFound if the cgroup is gone.
absl::StatusOr<CgroupDetails> ReadCgroupDetails(const CgroupFs& fs, const std::string& cgroup);

namespace internal {
// Nothing for a text that is no pressure file.
std::optional<Pressure> ParsePressure(std::string_view text);
std::vector<BlockDeviceIo> ParseIoStat(std::string_view text);  // io.stat of v2
// "Read 12" lines of v1: blkio.throttle.io_service_bytes_recursive and io_serviced_recursive.
std::vector<BlockDeviceIo> ParseBlkio(std::string_view bytes, std::string_view operations);
}  // namespace internal

}  // namespace davit
