// SPDX-License-Identifier: Apache-2.0
#include "server/container/exec_cpu.h"

#include "base/cpus.h"
#include "config/handler_settings.h"

namespace davit::server {

std::optional<int> ExecCpu(const config::Runtime& config, const Container::Record& record) {
  if (config::HandlerSettings(config, record.handler()).exec_cpu_affinity != config::kFirstCpu) {
    return std::nullopt;
  }
  // A list that cannot be read has not passed the kernel either: such a container does not run.
  const auto cpus = ParseCpuList(record.config().linux().resources().cpuset_cpus());
  return cpus.ok() && !cpus->empty() ? std::optional(*cpus->begin()) : std::nullopt;
}

}  // namespace davit::server
