// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "server/cgroup/pod_resources.h"
#include "server/sandbox/sandbox_rpcs.h"
#include "server/update.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;
namespace sv1 = davit::state::v1;

// The kubelet writes the cgroups that it makes, before it calls: its sums leave out containers
// without limits, and must not become a limit of these. Davit's own cgroups nobody else writes.
absl::Status Apply(const Node& node, const Sandbox::Record& record,
                   const v1::LinuxContainerResources& resources,
                   const v1::LinuxContainerResources& overhead) {
  if (!record.cgroup_made()) {
    log::Debug("sandbox {}: cgroup {} is not davit's: its new resources are only noted",
               ShortId(record.id()), record.cgroup());
    return absl::OkStatus();
  }
  return Annotate(
      node.cgroup_manager.SetResources(record.cgroup(), AddOverhead(resources, overhead)),
      "sandbox " + ShortId(record.id()));
}

}  // namespace

absl::StatusOr<v1::UpdatePodSandboxResourcesResponse> UpdatePodSandboxResources(
    Node& node, Context& ctx, const v1::UpdatePodSandboxResourcesRequest& request) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(request.pod_sandbox_id()));
  if (!request.has_resources() && !request.has_overhead()) {
    return InvalidArgument("sandbox {}: the request has neither resources nor overhead",
                           ShortId(sandbox->id()));
  }
  ctx.SetStage("wait for another operation on the sandbox");
  absl::MutexLock lock(&sandbox->op_mutex);
  const auto record = sandbox->record();
  if (record->state() != sv1::SANDBOX_READY) {
    return FailedPrecondition("sandbox {} is not ready but {}: its resources cannot be updated",
                              ShortId(sandbox->id()), sv1::SandboxState_Name(record->state()));
  }
  v1::LinuxPodSandboxConfig linux_config = record->config().linux();
  if (request.has_resources()) {
    *linux_config.mutable_resources() = request.resources();
  }
  if (request.has_overhead()) {
    *linux_config.mutable_overhead() = request.overhead();
  }
  ctx.SetStage("write the pod's cgroup");
  RETURN_IF_ERROR(Apply(node, *record, linux_config.resources(), linux_config.overhead()));
  RETURN_IF_ERROR(Update(node, *sandbox, [&linux_config](auto& next) {
    *next.mutable_config()->mutable_linux() = linux_config;
  }));
  return v1::UpdatePodSandboxResourcesResponse();
}

}  // namespace davit::server
