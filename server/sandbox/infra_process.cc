// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/infra_process.h"

#include <string>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/text.h"
#include "server/oci/infra.h"
#include "server/paths.h"
#include "server/sandbox/pod_config.h"
#include "server/spec/spec.h"
#include "server/update.h"

namespace davit::server {
namespace {

// In the hierarchies that count what it uses; v2 has one for all.
std::string CgroupProcs(const CgroupFs& cgroups, const std::string& cgroup) {
  if (cgroups.mode() == CgroupMode::kV2) {
    return JoinPath(cgroups.Dir("", cgroup), "cgroup.procs");
  }
  std::vector<std::string> files;
  for (const char* controller : {"memory", "cpu", "pids"}) {
    if (cgroups.has(controller)) {
      files.push_back(JoinPath(cgroups.Dir(controller, cgroup), "cgroup.procs"));
    }
  }
  return Join(files, "\n");
}

}  // namespace

absl::Status StartInfraProcess(Node& node, Context& ctx, Sandbox& sandbox) {
  const auto record = sandbox.record();
  const Paths paths(node.config.storage.run);
  const auto pin = [&](bool host, const char* kind) {
    return host ? "" : paths.Pin(record->id(), kind);
  };
  const bool host_network = HostNetwork(record->config());
  oci::InfraOptions options;
  options.monitor_path = node.monitor_path;
  options.user_pin = pin(!spec::HasUserNamespace(record->config()), "user");
  options.net_pin = pin(host_network, "net");
  options.uts_pin = pin(host_network, "uts");
  options.ipc_pin = pin(HostIpc(record->config()), "ipc");
  options.pid_pin = paths.Pin(record->id(), "pid");
  options.cgroup_procs = CgroupProcs(node.cgroups, record->cgroup());
  auto infra = oci::StartInfra(ctx, options);
  if (!infra.ok()) {
    return Annotate(infra.status(), "start the infra process of sandbox " + ShortId(sandbox.id()));
  }
  // Should this fail, or the daemon die here: StopInfra finds the process by its pinned namespace.
  return Update(node, sandbox, [&infra](auto& next) {
    next.set_infra_pid(infra->pid);
    next.set_infra_start_time(infra->start_time);
  });
}

absl::Status StopInfraProcess(Node& node, Context& ctx, Sandbox& sandbox) {
  const auto record = sandbox.record();
  const std::string pin = Paths(node.config.storage.run).Pin(record->id(), "pid");
  if (record->infra_pid() == 0 && !PathExists(pin)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(
      Annotate(oci::StopInfra(ctx, record->infra_pid(), record->infra_start_time(), pin),
               "stop the infra process of sandbox " + ShortId(sandbox.id())));
  return Update(node, sandbox, [](auto& next) {
    next.set_infra_pid(0);
    next.set_infra_start_time(0);
  });
}

bool InfraProcessLives(const Sandbox::Record& record) {
  if (record.infra_pid() == 0) {
    return false;
  }
  const auto start_time = ProcessStartTime(record.infra_pid());
  return start_time.ok() && *start_time == record.infra_start_time();
}

}  // namespace davit::server
