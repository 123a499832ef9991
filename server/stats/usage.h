// SPDX-License-Identifier: Apache-2.0
//
// What a cgroup uses, in the CRI's words.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "base/cgroup_details.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

struct Usage {
  CgroupStats stats;
  CgroupPressure pressure;
  std::optional<uint64_t> cpu_rate;  // nanoseconds of CPU time a second
};

// `id` is whose usage it is: a container or a pod. NotFound if the cgroup is gone.
absl::StatusOr<Usage> ReadUsage(Node& node, const std::string& id, const std::string& cgroup);

void FillCpu(const Usage& usage, runtime::v1::CpuUsage& cpu);
void FillMemory(const Usage& usage, runtime::v1::MemoryUsage& memory);
void FillSwap(const Usage& usage, runtime::v1::SwapUsage& swap);
void FillIo(const Usage& usage, runtime::v1::IoUsage& io);

}  // namespace davit::server
