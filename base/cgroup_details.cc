// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup_details.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr char kHugepageDirs[] = "/sys/kernel/mm/hugepages";
constexpr uint64_t kV1Unlimited = 0x7fffffffffff0000;  // the largest multiple of the page size

class Reader {
 public:
  Reader(const CgroupFs& fs, const std::string& cgroup) : fs_(fs), cgroup_(cgroup) {}

  [[nodiscard]] std::string Text(const char* controller, const std::string& file) const {
    return fs_.Read(controller, cgroup_, file).value_or("");
  }
  [[nodiscard]] uint64_t Number(const char* controller, const std::string& file) const {
    return MaybeNumber(controller, file).value_or(0);
  }
  [[nodiscard]] std::optional<uint64_t> MaybeNumber(const char* controller,
                                                    const std::string& file) const {
    return ParseUint(Trim(Text(controller, file)));
  }
  // The numbers of a "key value" file.
  [[nodiscard]] std::map<std::string, uint64_t> Pairs(const char* controller,
                                                      const std::string& file) const {
    std::map<std::string, uint64_t> pairs;
    for (const std::string& line : Split(Text(controller, file), '\n')) {
      const std::vector<std::string> words = Words(line);
      if (words.size() == 2) {
        if (const auto value = ParseUint(words[1])) {
          pairs[words[0]] = *value;
        }
      }
    }
    return pairs;
  }

 private:
  const CgroupFs& fs_;
  const std::string& cgroup_;
};

// "2MB" from "hugepages-2048kB", as the kernel names the cgroup files.
std::string PageSizeName(const std::string& directory) {
  const std::string digits =
      directory.substr(std::min(directory.find('-'), directory.size() - 1) + 1);
  const auto kilobytes = ParseUint(std::string_view(digits).substr(0, digits.find('k')));
  if (!kilobytes || *kilobytes == 0) {
    return "";
  }
  if (*kilobytes % (1U << 20U) == 0) {
    return std::to_string(*kilobytes >> 20U) + "GB";
  }
  return *kilobytes % 1024 == 0 ? std::to_string(*kilobytes >> 10U) + "MB"
                                : std::to_string(*kilobytes) + "KB";
}

std::vector<std::string> PageSizes() {
  std::vector<std::string> sizes;
  for (const std::string& name : ListDir(kHugepageDirs).value_or(std::vector<std::string>())) {
    if (std::string size = PageSizeName(name); !size.empty()) {
      sizes.push_back(std::move(size));
    }
  }
  return sizes;
}

void ReadHugepages(const Reader& reader, bool v2, CgroupDetails& details) {
  for (const std::string& size : PageSizes()) {
    const std::string file = "hugetlb." + size;
    const auto usage = reader.MaybeNumber("hugetlb", file + (v2 ? ".current" : ".usage_in_bytes"));
    if (usage) {
      const uint64_t peak = v2 ? *usage : reader.Number("hugetlb", file + ".max_usage_in_bytes");
      details.hugepages.push_back({size, *usage, peak});
    }
  }
}

void ReadV1(const Reader& reader, CgroupDetails& details) {
  const auto tick_ns = uint64_t{1'000'000'000} / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  auto times = reader.Pairs("cpuacct", "cpuacct.stat");
  details.cpu_user_ns = times["user"] * tick_ns;
  details.cpu_system_ns = times["system"] * tick_ns;
  auto cpu = reader.Pairs("cpu", "cpu.stat");
  details.cpu_periods = cpu["nr_periods"];
  details.cpu_throttled_periods = cpu["nr_throttled"];
  details.cpu_throttled_ns = cpu["throttled_time"];
  auto memory = reader.Pairs("memory", "memory.stat");
  details.memory_cache = memory["total_cache"];
  details.memory_mapped_file = memory["total_mapped_file"];
  details.own_page_faults = memory["pgfault"];
  details.own_major_page_faults = memory["pgmajfault"];
  details.memory_kernel = reader.Number("memory", "memory.kmem.usage_in_bytes");
  details.memory_max_usage = reader.Number("memory", "memory.max_usage_in_bytes");
  details.memory_limit_hits = reader.Number("memory", "memory.failcnt");
  const uint64_t soft = reader.Number("memory", "memory.soft_limit_in_bytes");
  details.memory_soft_limit = soft < kV1Unlimited ? soft : 0;
  details.oom_kills = reader.Pairs("memory", "memory.oom_control")["oom_kill"];
  details.block_devices =
      internal::ParseBlkio(reader.Text("blkio", "blkio.throttle.io_service_bytes_recursive"),
                           reader.Text("blkio", "blkio.throttle.io_serviced_recursive"));
}

void ReadV2(const Reader& reader, CgroupDetails& details) {
  auto cpu = reader.Pairs("cpu", "cpu.stat");
  details.cpu_user_ns = cpu["user_usec"] * 1000;
  details.cpu_system_ns = cpu["system_usec"] * 1000;
  details.cpu_periods = cpu["nr_periods"];
  details.cpu_throttled_periods = cpu["nr_throttled"];
  details.cpu_throttled_ns = cpu["throttled_usec"] * 1000;
  auto memory = reader.Pairs("memory", "memory.stat");
  details.memory_cache = memory["file"];
  details.memory_mapped_file = memory["file_mapped"];
  details.memory_kernel = memory["kernel"];
  details.memory_max_usage = reader.Number("memory", "memory.peak");
  details.memory_soft_limit = reader.Number("memory", "memory.low");
  auto events = reader.Pairs("memory", "memory.events");
  details.memory_limit_hits = events["max"];
  details.oom_kills = events["oom_kill"];
  details.block_devices = internal::ParseIoStat(reader.Text("io", "io.stat"));
}

std::optional<Pressure> PressureOf(const Reader& reader, const char* controller, const char* file) {
  return internal::ParsePressure(reader.Text(controller, file));
}

std::optional<std::pair<uint64_t, uint64_t>> ParseDevice(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  const auto major = ParseUint(text.substr(0, colon));
  const auto minor = ParseUint(text.substr(colon + 1));
  return major && minor ? std::optional(std::pair(*major, *minor)) : std::nullopt;
}

using Devices = std::map<std::pair<uint64_t, uint64_t>, BlockDeviceIo>;

std::vector<BlockDeviceIo> InOrder(const Devices& devices) {
  std::vector<BlockDeviceIo> list;
  for (const auto& [numbers, io] : devices) {
    list.push_back(io);
    list.back().major = numbers.first;
    list.back().minor = numbers.second;
  }
  return list;
}

// "key=value" of an io.stat line, "avg10=0.12" of a pressure line.
std::pair<std::string_view, std::string_view> KeyValue(std::string_view word) {
  const size_t equals = word.find('=');
  return equals == std::string_view::npos
             ? std::pair(word, std::string_view())
             : std::pair(word.substr(0, equals), word.substr(equals + 1));
}

Pressure::Line ParseLine(const std::vector<std::string>& words) {
  Pressure::Line line;
  for (const std::string& word : words) {
    const auto [key, value] = KeyValue(word);
    if (key == "total") {
      line.total_us = ParseUint(value).value_or(0);
      continue;
    }
    const double share = std::strtod(std::string(value).c_str(), nullptr);
    if (key == "avg10") {
      line.avg10 = share;
    } else if (key == "avg60") {
      line.avg60 = share;
    } else if (key == "avg300") {
      line.avg300 = share;
    }
  }
  return line;
}

}  // namespace

namespace internal {

std::optional<Pressure> ParsePressure(std::string_view text) {
  std::optional<Pressure> pressure;
  for (const std::string& line : Split(text, '\n')) {
    const std::vector<std::string> words = Words(line);
    if (words.empty() || (words[0] != "some" && words[0] != "full")) {
      continue;
    }
    if (!pressure) {
      pressure.emplace();
    }
    (words[0] == "some" ? pressure->some : pressure->full) = ParseLine(words);
  }
  return pressure;
}

std::vector<BlockDeviceIo> ParseIoStat(std::string_view text) {
  Devices devices;
  for (const std::string& line : Split(text, '\n')) {
    const std::vector<std::string> words = Words(line);
    const auto numbers = words.empty() ? std::nullopt : ParseDevice(words[0]);
    if (!numbers) {
      continue;
    }
    BlockDeviceIo& io = devices[*numbers];
    for (const std::string& word : words) {
      const auto [key, value] = KeyValue(word);
      const uint64_t number = ParseUint(value).value_or(0);
      if (key == "rbytes") {
        io.read_bytes = number;
      } else if (key == "wbytes") {
        io.write_bytes = number;
      } else if (key == "rios") {
        io.reads = number;
      } else if (key == "wios") {
        io.writes = number;
      }
    }
  }
  return InOrder(devices);
}

std::vector<BlockDeviceIo> ParseBlkio(std::string_view bytes, std::string_view operations) {
  Devices devices;
  const auto each = [&devices](std::string_view text, uint64_t BlockDeviceIo::*read,
                               uint64_t BlockDeviceIo::*write) {
    for (const std::string& line : Split(text, '\n')) {
      const std::vector<std::string> words = Words(line);
      const auto numbers = words.size() == 3 ? ParseDevice(words[0]) : std::nullopt;
      if (numbers && words[1] == "Read") {
        devices[*numbers].*read = ParseUint(words[2]).value_or(0);
      } else if (numbers && words[1] == "Write") {
        devices[*numbers].*write = ParseUint(words[2]).value_or(0);
      }
    }
  };
  each(bytes, &BlockDeviceIo::read_bytes, &BlockDeviceIo::write_bytes);
  each(operations, &BlockDeviceIo::reads, &BlockDeviceIo::writes);
  return InOrder(devices);
}

}  // namespace internal

CgroupPressure ReadCgroupPressure(const CgroupFs& fs, const std::string& cgroup) {
  CgroupPressure pressure;
  if (fs.mode() != CgroupMode::kV2) {
    return pressure;
  }
  const Reader reader(fs, cgroup);
  pressure.cpu = PressureOf(reader, "cpu", "cpu.pressure");
  pressure.memory = PressureOf(reader, "memory", "memory.pressure");
  pressure.io = PressureOf(reader, "io", "io.pressure");
  return pressure;
}

absl::StatusOr<CgroupDetails> ReadCgroupDetails(const CgroupFs& fs, const std::string& cgroup) {
  RETURN_IF_ERROR(internal::CheckCgroupPath(cgroup));
  const Reader reader(fs, cgroup);
  CgroupDetails details;
  const bool v2 = fs.mode() == CgroupMode::kV2;
  if (v2) {
    ReadV2(reader, details);
  } else {
    ReadV1(reader, details);
  }
  details.pids_limit = reader.MaybeNumber("pids", "pids.max");
  ReadHugepages(reader, v2, details);
  if (!fs.Exists(cgroup)) {
    return NotFound("cgroup {} does not exist", cgroup);
  }
  return details;
}

}  // namespace davit
