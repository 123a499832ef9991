// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/teardown.h"

#include <memory>

#include "base/alongside.h"
#include "base/failpoint.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "server/container/stop.h"
#include "server/container/teardown.h"
#include "server/events/publish.h"
#include "server/paths.h"
#include "server/sandbox/infra_process.h"
#include "server/sandbox/sandbox_files.h"
#include "server/sandbox/sandbox_network.h"
#include "server/selinux/labeller.h"
#include "server/state/state_db.h"
#include "server/stats/cpu_rates.h"
#include "server/update.h"

namespace davit::server {
namespace {

namespace sv1 = davit::state::v1;

// All are signalled before the first is waited for.
absl::Status KillContainers(Node& node, Context& ctx, const std::string& sandbox_id) {
  const auto containers = node.containers.ListOf(sandbox_id);
  for (const auto& container : containers) {
    RETURN_IF_ERROR(KillNow(node, *container));
  }
  for (const auto& container : containers) {
    RETURN_IF_ERROR(AwaitKilled(node, ctx, *container));
  }
  return absl::OkStatus();
}

// Pods may name one cgroup parent that was there for neither: it goes with the last of them.
bool OthersUseCgroup(Node& node, const Sandbox::Record& record) {
  for (const auto& other : node.sandboxes.List()) {
    if (other->id() != record.id() && other->record()->cgroup() == record.cgroup()) {
      return true;
    }
  }
  return false;
}

absl::Status RemoveCgroup(Node& node, const Sandbox::Record& record) {
  RETURN_IF_ERROR(RemoveInfraCgroup(node, record));
  if (!record.cgroup_made() || record.cgroup().empty() || OthersUseCgroup(node, record)) {
    return absl::OkStatus();
  }
  // A process that its PID namespace did not take down with it would keep the cgroup busy.
  RETURN_IF_ERROR(node.cgroup_manager.KillAll(record.cgroup()));
  return node.cgroup_manager.Remove(record.cgroup());
}

// The kernel takes milliseconds for each unmount (grace periods), the plugins need none of these
// mounts.
absl::Status DetachWhileReleasing(Node& node, Context& ctx, Sandbox& sandbox) {
  Alongside release(
      [&] { return ReleaseOtherMounts(Paths(node.config.storage.run), sandbox.id()); });
  const absl::Status detached = DetachNetwork(node, ctx, sandbox);
  const absl::Status released = release.Join();
  return detached.ok() ? released : detached;
}

absl::Status ReleaseSandbox(Node& node, Context& ctx, Sandbox& sandbox) {
  ctx.SetStage("kill containers");
  RETURN_IF_ERROR(KillContainers(node, ctx, sandbox.id()));
  RETURN_IF_ERROR(failpoint::Hit("stop_pod_sandbox.after_containers"));
  ctx.SetStage("stop infra process");
  RETURN_IF_ERROR(StopInfraProcess(node, ctx, sandbox));
  RETURN_IF_ERROR(failpoint::Hit("stop_pod_sandbox.after_infra"));
  ctx.SetStage("take down network");
  RETURN_IF_ERROR(DetachWhileReleasing(node, ctx, sandbox));
  RETURN_IF_ERROR(failpoint::Hit("stop_pod_sandbox.after_network"));
  ctx.SetStage("unpin namespaces");
  return ReleaseNetworkNamespace(Paths(node.config.storage.run), sandbox.id());
}

// REMOVING from the first step: a sandbox half removed can only go on to be removed.
absl::Status MarkRemoving(Node& node, Sandbox& sandbox) {
  if (sandbox.record()->state() == sv1::SANDBOX_REMOVING) {
    return absl::OkStatus();
  }
  return Update(node, sandbox, [](auto& next) { next.set_state(sv1::SANDBOX_REMOVING); });
}

absl::Status RemoveContainers(Node& node, Context& ctx, const std::string& sandbox_id) {
  for (const auto& container : node.containers.ListOf(sandbox_id)) {
    RETURN_IF_ERROR(RemoveContainerObject(node, ctx, *container));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status StopSandboxLocked(Node& node, Context& ctx, Sandbox& sandbox) {
  const auto state = sandbox.record()->state();
  if (state == sv1::SANDBOX_STOPPED) {
    return absl::OkStatus();
  }
  if (state == sv1::SANDBOX_READY) {
    RETURN_IF_ERROR(
        Update(node, sandbox, [](auto& next) { next.set_state(sv1::SANDBOX_STOPPING); }));
    RETURN_IF_ERROR(failpoint::Hit("stop_pod_sandbox.after_intent"));
  }
  RETURN_IF_ERROR(ReleaseSandbox(node, ctx, sandbox));
  RETURN_IF_ERROR(failpoint::Hit("stop_pod_sandbox.before_stopped"));
  if (state == sv1::SANDBOX_REMOVING) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Update(node, sandbox, [](auto& next) { next.set_state(sv1::SANDBOX_STOPPED); }));
  PublishEvent(node, sandbox, runtime::v1::CONTAINER_STOPPED_EVENT);
  return absl::OkStatus();
}

absl::Status RemoveSandboxLocked(Node& node, Context& ctx, Sandbox& sandbox) {
  const std::string& id = sandbox.id();
  RETURN_IF_ERROR(MarkRemoving(node, sandbox));
  RETURN_IF_ERROR(failpoint::Hit("remove_pod_sandbox.after_intent"));
  RETURN_IF_ERROR(ReleaseSandbox(node, ctx, sandbox));
  ctx.SetStage("remove containers");
  RETURN_IF_ERROR(RemoveContainers(node, ctx, id));
  RETURN_IF_ERROR(failpoint::Hit("remove_pod_sandbox.after_containers"));
  ctx.SetStage("remove files");
  RETURN_IF_ERROR(RemoveSandboxDir(Paths(node.config.storage.run), id));
  RETURN_IF_ERROR(failpoint::Hit("remove_pod_sandbox.after_files"));
  ctx.SetStage("remove cgroup");
  RETURN_IF_ERROR(RemoveCgroup(node, *sandbox.record()));
  RETURN_IF_ERROR(failpoint::Hit("remove_pod_sandbox.before_delete"));
  RETURN_IF_ERROR(node.state.DeleteSandbox(id));
  if (node.selinux != nullptr) {
    node.selinux->ReleaseLevel(sandbox.record()->selinux_level());
  }
  node.sandboxes.Remove(id);
  node.cpu_rates.Forget(id);
  PublishEvent(node, sandbox, runtime::v1::CONTAINER_DELETED_EVENT);
  return absl::OkStatus();
}

}  // namespace davit::server
