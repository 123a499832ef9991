// SPDX-License-Identifier: Apache-2.0
#include "server/container/teardown.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mount.h"
#include "base/status.h"
#include "server/container/monitor_cgroup.h"
#include "server/container/own_mounts.h"
#include "server/container/quiet_cpus.h"
#include "server/container/stop.h"
#include "server/events/publish.h"
#include "server/oci/ended_state.h"
#include "server/paths.h"
#include "server/state/state_db.h"
#include "server/stats/cpu_rates.h"
#include "server/stats/writable_usage.h"
#include "server/update.h"

namespace davit::server {
namespace {

namespace sv1 = davit::state::v1;

// The runtime may be broken, or gone from the configuration or the disk. Its containers must still
// be removable: nothing of them runs on, and no later runtime finds their state.
absl::Status DeleteWithoutRuntime(Node& node, const Container::Record& record,
                                  const std::string& runtime_root, const absl::Status& why) {
  log::Warning("container {}: its OCI runtime does not delete it, davit does: {}",
               ShortId(record.id()), Message(why));
  RETURN_IF_ERROR(node.cgroup_manager.KillAll(record.cgroup()));
  return RemoveTree(JoinPath(runtime_root, record.id()));
}

// What the runtime's `delete` would do of a container that has ended, but for its process. The
// state goes last: until then all of this can be done again, by the runtime too. FailedPrecondition
// if it takes more than that.
absl::Status DeleteEnded(Node& node, const Container::Record& record, const oci::Runtime& runtime) {
  const oci::EndedContainer container{
      .id = record.id(), .pid = record.pid(), .start_time = record.pid_start_time()};
  RETURN_IF_ERROR(oci::CheckRemovable(runtime, container));
  const auto left = node.cgroups.Pids(record.cgroup());
  if (left.ok() && !left->empty()) {
    return FailedPrecondition("{} processes are in its cgroup", left->size());
  }
  RETURN_IF_ERROR(node.cgroup_manager.Remove(record.cgroup()));
  RETURN_IF_ERROR(failpoint::Hit("release_container.after_cgroup"));
  return RemoveTree(oci::StateDirectory(runtime, record.id()));
}

absl::Status DeleteByRuntime(Node& node, Context& ctx, const Container::Record& record,
                             const oci::Runtime& runtime) {
  const absl::Status deleted = runtime.Delete(ctx, record.id());
  if (deleted.ok()) {
    // Half of its state, as a removal leaves that was killed: to crun no container, and so success.
    return RemoveTree(oci::StateDirectory(runtime, record.id()));
  }
  if (!ctx.Check().ok()) {
    return deleted;
  }
  return DeleteWithoutRuntime(node, record, runtime.root(), deleted);
}

// With the container's cgroup.
absl::Status DeleteRuntimeState(Node& node, Context& ctx, const Container::Record& record) {
  const auto runtime = node.runtimes.Find(record.handler());
  if (!runtime.ok()) {
    const std::string root = Paths(node.config.storage.run).RuntimeRoot(record.handler());
    RETURN_IF_ERROR(DeleteWithoutRuntime(node, record, root, runtime.status()));
  } else if (const absl::Status ended = DeleteEnded(node, record, **runtime); ended.ok()) {
    return absl::OkStatus();
  } else {
    log::Debug("container {}: its OCI runtime deletes it: {}", ShortId(record.id()),
               Message(ended));
    RETURN_IF_ERROR(DeleteByRuntime(node, ctx, record, **runtime));
  }
  return node.cgroup_manager.Remove(record.cgroup());
}

absl::Status RemoveRunDir(const std::string& dir) {
  absl::Status removed = RemoveTree(dir);
  if (absl::IsFailedPrecondition(removed)) {
    // A pinned PID namespace of another container is mounted here. Not looked for before: the table
    // of mounts is long where there are many pods.
    RETURN_IF_ERROR(UnmountAllBelow(dir));
    removed = RemoveTree(dir);
  }
  return removed;
}

absl::Status MarkRemoving(Node& node, Container& container) {
  if (container.record()->state() == sv1::CONTAINER_REMOVING) {
    return absl::OkStatus();
  }
  return Update(node, container, [](auto& next) { next.set_state(sv1::CONTAINER_REMOVING); });
}

}  // namespace

absl::Status ReleaseContainer(Node& node, Context& ctx, Container& container) {
  if (container.record()->runtime_state()) {
    ctx.SetStage("delete from OCI runtime");
    RETURN_IF_ERROR(DeleteRuntimeState(node, ctx, *container.record()));
    RETURN_IF_ERROR(failpoint::Hit("release_container.after_runtime"));
    RETURN_IF_ERROR(RemoveMonitorCgroup(node, *container.record()));
    RETURN_IF_ERROR(ReleaseQuietCpus(node, *container.record()));
    RETURN_IF_ERROR(Update(node, container, [](auto& next) { next.set_runtime_state(false); }));
  }
  ctx.SetStage("unmount own copies of mounts");
  RETURN_IF_ERROR(ReleaseOwnMounts(Paths(node.config.storage.run), container.id()));
  ctx.SetStage("unmount root file system");
  return node.storage.UnmountRootfs(container.id());
}

absl::Status DestroyContainer(Node& node, Context& ctx, Container& container) {
  const std::string& id = container.id();
  RETURN_IF_ERROR(MarkRemoving(node, container));
  RETURN_IF_ERROR(failpoint::Hit("remove_container.after_intent"));
  RETURN_IF_ERROR(ReleaseContainer(node, ctx, container));
  RETURN_IF_ERROR(failpoint::Hit("remove_container.after_runtime"));
  ctx.SetStage("release image volumes");
  RETURN_IF_ERROR(node.storage.ReleaseImageVolumes(id));
  RETURN_IF_ERROR(failpoint::Hit("remove_container.after_volumes"));
  ctx.SetStage("remove root file system");
  RETURN_IF_ERROR(node.storage.RemoveRootfs(id));
  RETURN_IF_ERROR(failpoint::Hit("remove_container.after_rootfs"));
  RETURN_IF_ERROR(RemoveRunDir(Paths(node.config.storage.run).Container(id)));
  RETURN_IF_ERROR(failpoint::Hit("remove_container.before_delete"));
  RETURN_IF_ERROR(node.state.DeleteContainer(id));
  node.containers.Remove(id);
  node.usage.Forget(id);
  node.cpu_rates.Forget(id);
  PublishEvent(node, container, runtime::v1::CONTAINER_DELETED_EVENT);
  return absl::OkStatus();
}

absl::Status RemoveContainerObject(Node& node, Context& ctx, Container& container) {
  RETURN_IF_ERROR(KillNow(node, container));
  RETURN_IF_ERROR(AwaitKilled(node, ctx, container));
  absl::MutexLock lock(&container.op_mutex);
  if (!node.containers.Find(container.id()).ok()) {
    return absl::OkStatus();
  }
  // Started between the kill and here: the caller's next try kills that.
  if (container.record()->state() == sv1::CONTAINER_RUNNING) {
    return Unavailable("container {} was started while it was being removed, try again",
                       ShortId(container.id()));
  }
  return DestroyContainer(node, ctx, container);
}

}  // namespace davit::server
