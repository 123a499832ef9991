// SPDX-License-Identifier: Apache-2.0
#include "server/stats/metric_table.h"

#include <array>

namespace davit::server {
namespace {

using runtime::v1::COUNTER;
using runtime::v1::GAUGE;

const auto& Table() {
  static const std::array<MetricKind, static_cast<size_t>(Metric::kCount)> table = {{
      {"container_cpu_user_seconds_total", COUNTER, "CPU time in user mode, in seconds"},
      {"container_cpu_system_seconds_total", COUNTER, "CPU time in the kernel, in seconds"},
      {"container_cpu_usage_seconds_total", COUNTER, "CPU time, in seconds", {"cpu"}},
      {"container_cpu_cfs_periods_total", COUNTER, "periods in which the CPU quota was enforced"},
      {"container_cpu_cfs_throttled_periods_total", COUNTER, "periods with throttling"},
      {"container_cpu_cfs_throttled_seconds_total", COUNTER, "time throttled, in seconds"},
      {"container_fs_inodes_free", GAUGE, "free inodes of the file system", {"device"}},
      {"container_fs_inodes_total", GAUGE, "inodes of the file system", {"device"}},
      {"container_fs_limit_bytes", GAUGE, "size of the file system, in bytes", {"device"}},
      {"container_fs_usage_bytes", GAUGE, "bytes written to the root file system", {"device"}},
      {"container_fs_reads_bytes_total", COUNTER, "bytes read", {"device"}},
      {"container_fs_reads_total", COUNTER, "reads completed", {"device"}},
      {"container_fs_writes_bytes_total", COUNTER, "bytes written", {"device"}},
      {"container_fs_writes_total", COUNTER, "writes completed", {"device"}},
      {"container_blkio_device_usage_total",
       COUNTER,
       "bytes read from and written to a block device",
       {"device", "major", "minor", "operation"}},
      {"container_hugetlb_usage_bytes", GAUGE, "huge pages in use, in bytes", {"pagesize"}},
      {"container_hugetlb_max_usage_bytes",
       GAUGE,
       "most huge pages that were in use, in bytes",
       {"pagesize"}},
      {"container_memory_cache", GAUGE, "page cache, in bytes"},
      {"container_memory_rss", GAUGE, "anonymous memory, in bytes"},
      {"container_memory_kernel_usage", GAUGE, "memory of the kernel, in bytes"},
      {"container_memory_mapped_file", GAUGE, "memory-mapped files, in bytes"},
      {"container_memory_swap", GAUGE, "swap in use, in bytes"},
      {"container_memory_failcnt", COUNTER, "how often the memory limit was hit"},
      {"container_memory_usage_bytes", GAUGE, "memory in use, with all caches, in bytes"},
      {"container_memory_max_usage_bytes", GAUGE, "most memory that was in use, in bytes"},
      {"container_memory_working_set_bytes", GAUGE, "memory that cannot be given up, in bytes"},
      {"container_memory_failures_total", COUNTER, "page faults", {"failure_type", "scope"}},
      {"container_network_receive_bytes_total", COUNTER, "bytes received", {"interface"}},
      {"container_network_receive_packets_total", COUNTER, "packets received", {"interface"}},
      {"container_network_receive_packets_dropped_total",
       COUNTER,
       "packets dropped while receiving",
       {"interface"}},
      {"container_network_receive_errors_total", COUNTER, "errors of receiving", {"interface"}},
      {"container_network_transmit_bytes_total", COUNTER, "bytes sent", {"interface"}},
      {"container_network_transmit_packets_total", COUNTER, "packets sent", {"interface"}},
      {"container_network_transmit_packets_dropped_total",
       COUNTER,
       "packets dropped while sending",
       {"interface"}},
      {"container_network_transmit_errors_total", COUNTER, "errors of sending", {"interface"}},
      {"container_oom_events_total", COUNTER, "processes killed for want of memory"},
      {"container_file_descriptors", GAUGE, "open file descriptors"},
      {"container_processes", GAUGE, "processes"},
      {"container_sockets", GAUGE, "open sockets"},
      {"container_threads", GAUGE, "threads"},
      {"container_threads_max", GAUGE, "threads that there may be; 0: no limit"},
      {"container_ulimits_soft", GAUGE, "soft limits of the first process", {"ulimit"}},
      {"container_last_seen", GAUGE, "time of these metrics, in seconds since 1970"},
      {"container_start_time_seconds", GAUGE, "time of the start, in seconds since 1970"},
      {"container_spec_cpu_period", GAUGE, "CPU period, in microseconds"},
      {"container_spec_cpu_quota", GAUGE, "CPU time in a period, in microseconds; 0: no limit"},
      {"container_spec_cpu_shares", GAUGE, "share of the CPU"},
      {"container_spec_memory_limit_bytes", GAUGE, "memory limit; 0: none"},
      {"container_spec_memory_reservation_limit_bytes", GAUGE, "memory kept for it; 0: none"},
      {"container_spec_memory_swap_limit_bytes", GAUGE, "limit of memory and swap; 0: none"},
      {"container_pressure_cpu_stalled_seconds_total", COUNTER,
       "time in which all tasks waited for the CPU, in seconds"},
      {"container_pressure_cpu_waiting_seconds_total", COUNTER,
       "time in which some task waited for the CPU, in seconds"},
      {"container_pressure_memory_stalled_seconds_total", COUNTER,
       "time in which all tasks waited for memory, in seconds"},
      {"container_pressure_memory_waiting_seconds_total", COUNTER,
       "time in which some task waited for memory, in seconds"},
      {"container_pressure_io_stalled_seconds_total", COUNTER,
       "time in which all tasks waited for a device, in seconds"},
      {"container_pressure_io_waiting_seconds_total", COUNTER,
       "time in which some task waited for a device, in seconds"},
  }};
  return table;
}

}  // namespace

const MetricKind& KindOf(Metric metric) {
  return Table().at(static_cast<size_t>(metric));
}

const std::vector<std::string>& CommonLabels() {
  static const std::vector<std::string> labels = {"id",        "name", "image",
                                                  "container", "pod",  "namespace"};
  return labels;
}

void MetricWriter::Add(Metric metric, uint64_t value, std::initializer_list<std::string> labels) {
  const MetricKind& kind = KindOf(metric);
  runtime::v1::Metric& out = *list_.Add();
  out.set_name(kind.name);
  out.set_metric_type(kind.type);
  out.set_timestamp(timestamp_ns_);
  out.mutable_value()->set_value(value);
  for (const std::string* label : {&labels_.cgroup, &labels_.id, &labels_.image, &labels_.container,
                                   &labels_.pod, &labels_.name_space}) {
    out.add_label_values(*label);
  }
  for (const std::string& label : labels) {
    out.add_label_values(label);
  }
}

}  // namespace davit::server
