// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <string_view>

#include "base/cgroup.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"

namespace davit {
namespace {

// v1 writes "no limit" as the largest multiple of the page size.
constexpr uint64_t kV1Unlimited = 0x7fffffffffff0000;

// Reads the files of one cgroup; what is absent reads as nothing.
class Reader {
 public:
  Reader(const CgroupFs& fs, const std::string& cgroup) : fs_(fs), cgroup_(cgroup) {}

  [[nodiscard]] std::string Text(const char* controller, const char* file) const {
    return fs_.Read(controller, cgroup_, file).value_or("");
  }
  [[nodiscard]] std::optional<uint64_t> Number(const char* controller, const char* file) const {
    return ParseUint(Trim(Text(controller, file)));
  }

 private:
  const CgroupFs& fs_;
  const std::string& cgroup_;
};

// Calls `use` with each "key value" line.
void ForEachPair(std::string_view text,
                 const std::function<void(std::string_view, uint64_t)>& use) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const size_t blank = line.find(' ');
    if (blank != std::string_view::npos) {
      if (const auto value = ParseUint(line.substr(blank + 1))) {
        use(line.substr(0, blank), *value);
      }
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

uint64_t Less(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

struct MemoryKeys {
  std::string_view inactive_file;
  std::string_view rss;
  std::string_view faults;
  std::string_view major_faults;
};
constexpr MemoryKeys kV1Keys = {"total_inactive_file", "total_rss", "total_pgfault",
                                "total_pgmajfault"};
constexpr MemoryKeys kV2Keys = {"inactive_file", "anon", "pgfault", "pgmajfault"};

void ReadMemoryStat(const Reader& reader, const MemoryKeys& keys, CgroupStats& stats) {
  uint64_t inactive_file = 0;
  ForEachPair(reader.Text("memory", "memory.stat"), [&](std::string_view key, uint64_t value) {
    if (key == keys.inactive_file) {
      inactive_file = value;
    } else if (key == keys.rss) {
      stats.memory_rss = value;
    } else if (key == keys.faults) {
      stats.memory_page_faults = value;
    } else if (key == keys.major_faults) {
      stats.memory_major_page_faults = value;
    }
  });
  stats.memory_working_set = Less(stats.memory_usage, inactive_file);
}

void ReadV1(const Reader& reader, CgroupStats& stats) {
  stats.cpu_usage_ns = reader.Number("cpuacct", "cpuacct.usage").value_or(0);
  stats.memory_usage = reader.Number("memory", "memory.usage_in_bytes").value_or(0);
  ReadMemoryStat(reader, kV1Keys, stats);
  const auto limited = [](std::optional<uint64_t> limit) {
    return limit && *limit < kV1Unlimited ? limit : std::nullopt;
  };
  stats.memory_limit = limited(reader.Number("memory", "memory.limit_in_bytes"));
  // "memsw" counts memory and swap together; the files lack without swap accounting.
  const auto both = reader.Number("memory", "memory.memsw.usage_in_bytes");
  stats.swap_usage = both ? Less(*both, stats.memory_usage) : 0;
  const auto both_limit = limited(reader.Number("memory", "memory.memsw.limit_in_bytes"));
  if (both_limit && stats.memory_limit) {
    stats.swap_limit = Less(*both_limit, *stats.memory_limit);
  }
}

void ReadV2(const Reader& reader, CgroupStats& stats) {
  ForEachPair(reader.Text("cpu", "cpu.stat"), [&](std::string_view key, uint64_t value) {
    if (key == "usage_usec") {
      stats.cpu_usage_ns = value * 1000;
    }
  });
  stats.memory_usage = reader.Number("memory", "memory.current").value_or(0);
  ReadMemoryStat(reader, kV2Keys, stats);
  // "max" is no number, and reads as no limit.
  stats.memory_limit = reader.Number("memory", "memory.max");
  stats.swap_usage = reader.Number("memory", "memory.swap.current").value_or(0);
  stats.swap_limit = reader.Number("memory", "memory.swap.max");
}

}  // namespace

absl::StatusOr<CgroupStats> ReadCgroupStats(const CgroupFs& fs, const std::string& cgroup) {
  RETURN_IF_ERROR(cgroup == "/" ? absl::OkStatus() : internal::CheckCgroupPath(cgroup));
  const Reader reader(fs, cgroup);
  CgroupStats stats;
  stats.timestamp_ns = NowNanos();
  if (fs.mode() == CgroupMode::kV2) {
    ReadV2(reader, stats);
  } else {
    ReadV1(reader, stats);
  }
  stats.pids = reader.Number("pids", "pids.current").value_or(0);
  // Afterwards: zeros of a cgroup that was removed meanwhile are no numbers.
  if (!fs.Exists(cgroup)) {
    return NotFound("cgroup {} does not exist", cgroup);
  }
  return stats;
}

}  // namespace davit
