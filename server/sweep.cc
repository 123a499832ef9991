// SPDX-License-Identifier: Apache-2.0
#include "server/sweep.h"

#include <signal.h>

#include <chrono>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mount.h"
#include "base/status.h"
#include "server/container/signals.h"
#include "server/oci/ended_state.h"
#include "server/oci/infra.h"
#include "server/oci/monitor.h"
#include "server/paths.h"
#include "server/sandbox/sandbox_files.h"

namespace davit::server {
namespace {

using Work = std::function<void()>;

constexpr std::chrono::minutes kTimeout{5};

absl::Status RemoveSandboxLeftover(Node& node, const std::string& id) {
  const Paths paths(node.config.storage.run);
  Context ctx(kTimeout);
  RETURN_IF_ERROR(oci::StopInfra(ctx, 0, 0, paths.Pin(id, "pid")));
  RETURN_IF_ERROR(RemoveSandboxDir(paths, id));
  // Its cgroup is known only where the request named none; the kubelet removes its own.
  ASSIGN_OR_RETURN(
      const std::string cgroup,
      node.cgroup_manager.PodCgroup("", node.config.runtime.default_cgroup_parent, id));
  RETURN_IF_ERROR(node.cgroup_manager.KillAll(cgroup));
  return node.cgroup_manager.Remove(cgroup);
}

absl::Status RemoveContainerLeftover(Node& node, const std::string& id) {
  const std::string dir = Paths(node.config.storage.run).Container(id);
  Context ctx(kTimeout);
  if (const auto monitor = oci::FindMonitor(dir); monitor.ok()) {
    Container::Record process;
    process.set_id(id);
    process.set_pid(monitor->container_pid);
    process.set_pid_start_time(monitor->container_start_time);
    RETURN_IF_ERROR(SignalContainer(process, SIGKILL));
  }
  for (const auto& runtime : node.runtimes.List()) {
    if (oci::MayKnow(*runtime, id)) {
      RETURN_IF_ERROR(runtime->Delete(ctx, id));
    }
  }
  RETURN_IF_ERROR(node.storage.UnmountRootfs(id));
  RETURN_IF_ERROR(UnmountAllBelow(dir));
  return RemoveTree(dir);
}

Work Logged(std::string what, std::function<absl::Status()> body) {
  return [what = std::move(what), body = std::move(body)] {
    log::Info("{} has no record: removing what is left of it", what);
    log::IfError(body(), "remove what is left of " + what);
  };
}

std::vector<std::string> Names(const std::string& dir) {
  return ListDir(dir).value_or(std::vector<std::string>());
}

}  // namespace

absl::Status DetachLeftover(Node& node, Context& ctx, const std::string& id) {
  network::PodNetwork pod;
  pod.sandbox_id = id;
  pod.netns_path = Paths(node.config.storage.run).Pin(id, "net");
  return node.cni.Del(ctx, pod);
}

std::vector<Work> FindLeftovers(Node& node) {
  const Paths paths(node.config.storage.run);
  std::vector<Work> work;
  // The network before its namespace.
  const auto cached = node.cni.CachedSandboxes();
  log::IfError(cached.status(), "list the networks of sandboxes");
  for (const auto& id : cached.value_or(std::vector<std::string>())) {
    if (!node.sandboxes.Find(id).ok()) {
      work.push_back(Logged("network of sandbox " + ShortId(id), [&node, id] {
        Context ctx(kTimeout);
        return DetachLeftover(node, ctx, id);
      }));
    }
  }
  for (const auto& id : Names(paths.Containers())) {
    if (!node.containers.Find(id).ok()) {
      work.push_back(Logged("container " + ShortId(id),
                            [&node, id] { return RemoveContainerLeftover(node, id); }));
    }
  }
  for (const auto& id : node.storage.ListRootfs()) {
    if (!node.containers.Find(id).ok()) {
      work.push_back(Logged("root file system of container " + ShortId(id),
                            [&node, id] { return node.storage.RemoveRootfs(id); }));
    }
  }
  for (const auto& id : node.storage.ListImageVolumeUsers()) {
    if (!node.containers.Find(id).ok()) {
      work.push_back(Logged("image volumes of container " + ShortId(id),
                            [&node, id] { return node.storage.ReleaseImageVolumes(id); }));
    }
  }
  for (const auto& id : Names(paths.Sandboxes())) {
    if (!node.sandboxes.Find(id).ok()) {
      work.push_back(Logged("sandbox " + ShortId(id),
                            [&node, id] { return RemoveSandboxLeftover(node, id); }));
    }
  }
  return work;
}

}  // namespace davit::server
