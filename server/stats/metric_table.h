// SPDX-License-Identifier: Apache-2.0
//
// The metrics of pods and containers, under the names and labels that cAdvisor gives them, so that
// dashboards and alerts go on working where the kubelet takes its metrics from here.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "server/api/api.pb.h"

namespace davit::server {

struct MetricKind {
  const char* name;
  runtime::v1::MetricType type;
  const char* help;
  std::vector<std::string> labels = {};  // beyond those that all have
};

// In the order of kMetrics (metric_table.cc).
enum class Metric {
  kCpuUser,
  kCpuSystem,
  kCpuUsage,
  kCpuPeriods,
  kCpuThrottledPeriods,
  kCpuThrottled,
  kFsInodesFree,
  kFsInodesTotal,
  kFsLimit,
  kFsUsage,
  kFsReadBytes,
  kFsReads,
  kFsWriteBytes,
  kFsWrites,
  kBlkioUsage,
  kHugetlbUsage,
  kHugetlbMaxUsage,
  kMemoryCache,
  kMemoryRss,
  kMemoryKernel,
  kMemoryMappedFile,
  kMemorySwap,
  kMemoryLimitHits,
  kMemoryUsage,
  kMemoryMaxUsage,
  kMemoryWorkingSet,
  kMemoryFailures,
  kNetRxBytes,
  kNetRxPackets,
  kNetRxDropped,
  kNetRxErrors,
  kNetTxBytes,
  kNetTxPackets,
  kNetTxDropped,
  kNetTxErrors,
  kOomEvents,
  kFileDescriptors,
  kProcesses,
  kSockets,
  kThreads,
  kThreadsMax,
  kUlimitsSoft,
  kLastSeen,
  kStartTime,
  kSpecCpuPeriod,
  kSpecCpuQuota,
  kSpecCpuShares,
  kSpecMemoryLimit,
  kSpecMemoryReservation,
  kSpecMemorySwapLimit,
  kPressureCpuStalled,
  kPressureCpuWaiting,
  kPressureMemoryStalled,
  kPressureMemoryWaiting,
  kPressureIoStalled,
  kPressureIoWaiting,
  kCount,
};

const MetricKind& KindOf(Metric metric);
// What every metric is labelled with: id (the cgroup), name (the container's ID), image,
// container, pod, namespace.
const std::vector<std::string>& CommonLabels();

// Values of CommonLabels(), in order.
struct MetricLabels {
  std::string cgroup;
  std::string id;
  std::string image;
  std::string container;
  std::string pod;
  std::string name_space;
};

// Appends metrics with the same labels and time.
class MetricWriter {
 public:
  using List = google::protobuf::RepeatedPtrField<runtime::v1::Metric>;

  MetricWriter(const MetricLabels& labels, int64_t timestamp_ns, List& list)
      : labels_(labels), timestamp_ns_(timestamp_ns), list_(list) {}
  // `labels` are the values of the metric's own labels. The CRI's values are whole numbers: seconds
  // are cut.
  void Add(Metric metric, uint64_t value, std::initializer_list<std::string> labels = {});

 private:
  const MetricLabels& labels_;
  const int64_t timestamp_ns_;
  List& list_;
};

}  // namespace davit::server
