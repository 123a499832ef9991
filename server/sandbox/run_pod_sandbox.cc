// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "base/id.h"
#include "base/log.h"
#include "base/namespace.h"
#include "base/status.h"
#include "base/time.h"
#include "server/container/quiet_cpus.h"
#include "server/events/publish.h"
#include "server/paths.h"
#include "server/sandbox/infra_process.h"
#include "server/sandbox/pod_config.h"
#include "server/sandbox/sandbox_files.h"
#include "server/sandbox/sandbox_network.h"
#include "server/sandbox/sandbox_rpcs.h"
#include "server/sandbox/teardown.h"
#include "server/sandbox/user_namespace.h"
#include "server/selinux/labeller.h"
#include "server/selinux/relabel.h"
#include "server/spec/spec.h"
#include "server/state/state_db.h"
#include "server/update.h"
#include "server/user_namespaces.h"
#include "server/workloads.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;
namespace sv1 = davit::state::v1;

constexpr std::chrono::minutes kUndoTimeout{2};
// From the cgroup on: the plugins, and a kubelet that asks once more before it makes a container.
constexpr std::chrono::milliseconds kUntilContainers{100};

absl::Status MakeNamespaces(Node& node, Context& /*ctx*/, Sandbox& sandbox) {
  const auto record = sandbox.record();
  const auto& config = record->config();
  const Paths paths(node.config.storage.run);
  RETURN_IF_ERROR(MakeSandboxDir(paths, record->id()));
  PinnedNamespaces wanted;
  if (!HostNetwork(config)) {
    wanted.net = paths.Pin(record->id(), "net");
    wanted.uts = paths.Pin(record->id(), "uts");
    wanted.hostname = PodHostname(config);
  }
  if (!HostIpc(config)) {
    wanted.ipc = paths.Pin(record->id(), "ipc");
  }
  if (const storage::IdMappings mappings = PodIdMappings(config); !mappings.empty()) {
    wanted.user = paths.Pin(record->id(), "user");
    wanted.uid_map = storage::KernelMap(mappings.uids);
    wanted.gid_map = storage::KernelMap(mappings.gids);
    wanted.root_uid = PodRoot(config).uid;
  }
  if (wanted.net.empty() && wanted.ipc.empty()) {
    return absl::OkStatus();
  }
  wanted.sysctls = PodSysctls(config, node.config.runtime);
  return PinNamespaces(wanted);
}

absl::Status LabelFiles(const Node& node, const Sandbox::Record& record,
                        const std::vector<std::string>& paths) {
  if (node.selinux == nullptr || record.selinux_level().empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const selinux::Labels labels,
                   node.selinux->OfPod(record.config(), record.selinux_level()));
  for (const std::string& path : paths) {
    RETURN_IF_ERROR(selinux::SetLabel(path, labels.mount));
  }
  return absl::OkStatus();
}

absl::Status MakeFiles(Node& node, Context& /*ctx*/, Sandbox& sandbox) {
  const Paths paths(node.config.storage.run);
  const auto record = sandbox.record();
  RETURN_IF_ERROR(MakeSandboxFiles(paths, *record));
  std::vector<std::string> made = {paths.Hostname(record->id())};
  if (!HostIpc(record->config())) {
    made.push_back(paths.Shm(record->id()));
  }
  return LabelFiles(node, *record, made);
}

absl::Status MakeCgroup(Node& node, Context& /*ctx*/, Sandbox& sandbox) {
  RETURN_IF_ERROR(node.cgroup_manager.Create(sandbox.record()->cgroup()));
  // For the containers that come next. While the plugins run nobody waits.
  node.cgroup_moves.KeepQuick(kUntilContainers);
  return absl::OkStatus();
}

absl::Status StartInfra(Node& node, Context& ctx, Sandbox& sandbox) {
  return PidMode(sandbox.record()->config()) == v1::POD ? StartInfraProcess(node, ctx, sandbox)
                                                        : absl::OkStatus();
}

absl::Status MakeNetwork(Node& node, Context& ctx, Sandbox& sandbox) {
  return HostNetwork(sandbox.record()->config()) ? absl::OkStatus()
                                                 : AttachNetwork(node, ctx, sandbox);
}

absl::Status MakeNames(Node& node, Context& /*ctx*/, Sandbox& sandbox) {
  const Paths paths(node.config.storage.run);
  const auto record = sandbox.record();
  RETURN_IF_ERROR(MakeNameFiles(paths, *record));
  return LabelFiles(node, *record, {paths.Hosts(record->id()), paths.ResolvConf(record->id())});
}

// What undoes a step is in teardown.cc, and does nothing where the step has not been taken.
struct Step {
  const char* stage;
  const char* failpoint;
  absl::Status (*take)(Node&, Context&, Sandbox&);
};

// Files and cgroup take well under a millisecond together, the CNI plugins tens: nothing is gained
// by doing them side by side.
constexpr Step kSteps[] = {
    {"make namespaces", "run_pod_sandbox.after_namespaces", MakeNamespaces},
    {"make files", "run_pod_sandbox.after_files", MakeFiles},
    {"make cgroup", "run_pod_sandbox.after_cgroup", MakeCgroup},
    {"start infra process", "run_pod_sandbox.after_infra", StartInfra},
    {"set up network", "run_pod_sandbox.after_network", MakeNetwork},
    {"make hosts and resolv.conf", "run_pod_sandbox.before_ready", MakeNames},
};

absl::Status BringUp(Node& node, Context& ctx, Sandbox& sandbox) {
  RETURN_IF_ERROR(failpoint::Hit("run_pod_sandbox.after_intent"));
  for (const Step& step : kSteps) {
    ctx.SetStage(step.stage);
    RETURN_IF_ERROR(ctx.Check());
    RETURN_IF_ERROR(step.take(node, ctx, sandbox));
    RETURN_IF_ERROR(failpoint::Hit(step.failpoint));
  }
  return Update(node, sandbox, [](auto& next) { next.set_state(sv1::SANDBOX_READY); });
}

// A sandbox that cannot be undone now (a CNI plugin fails) stays as one that is being removed: the
// kubelet sees it as not ready and has it removed, a retry of the request finishes that first.
void Undo(Node& node, const std::shared_ptr<Sandbox>& sandbox) {
  Context ctx(kUndoTimeout);
  const absl::Status undone = RemoveSandboxLocked(node, ctx, *sandbox);
  if (!undone.ok()) {
    log::Warning("sandbox {}: undo of a failed start did not finish, it stays to be removed: {}",
                 ShortId(sandbox->id()), Message(undone));
    node.sandboxes.Add(sandbox);
  }
}

absl::StatusOr<std::shared_ptr<const Sandbox::Record>> NewRecord(
    const Node& node, const v1::RunPodSandboxRequest& request, const std::string& name) {
  auto record = std::make_shared<Sandbox::Record>();
  record->set_id(NewId());
  record->set_name(name);
  record->set_state(sv1::SANDBOX_CREATING);
  record->set_boot_id(BootId());
  record->set_created_at(NowNanos());
  record->set_runtime_handler(request.runtime_handler());
  *record->mutable_config() = request.config();
  record->set_log_directory(LogDirectory(request.config(), node.config.runtime));
  ASSIGN_OR_RETURN(
      std::string cgroup,
      node.cgroup_manager.PodCgroup(request.config().linux().cgroup_parent(),
                                    node.config.runtime.default_cgroup_parent, record->id()));
  record->set_cgroup_made(!node.cgroup_manager.Exists(cgroup));
  if (!record->cgroup_made()) {  // unless another pod's is the same, and was made
    for (const auto& other : node.sandboxes.List()) {
      const auto theirs = other->record();
      if (theirs->cgroup() == cgroup && theirs->cgroup_made()) {
        record->set_cgroup_made(true);
      }
    }
  }
  record->set_cgroup(std::move(cgroup));
  if (node.selinux != nullptr) {
    ASSIGN_OR_RETURN(std::string level, node.selinux->ReserveLevel(request.config()));
    record->set_selinux_level(std::move(level));
  }
  return record;
}

absl::StatusOr<std::string> RunNew(Node& node, Context& ctx,
                                   const v1::RunPodSandboxRequest& request,
                                   const std::string& name) {
  ASSIGN_OR_RETURN(const auto record, NewRecord(node, request, name));
  if (absl::Status saved = node.state.Save(*record); !saved.ok()) {
    if (node.selinux != nullptr) {
      node.selinux->ReleaseLevel(record->selinux_level());
    }
    return saved;
  }
  auto sandbox = std::make_shared<Sandbox>(record);
  absl::MutexLock lock(&sandbox->op_mutex);
  const absl::Status up = BringUp(node, ctx, *sandbox);
  if (!up.ok()) {
    Undo(node, sandbox);
    return up;
  }
  node.sandboxes.Add(sandbox);
  PublishEvent(node, *sandbox, v1::CONTAINER_CREATED_EVENT);
  PublishEvent(node, *sandbox, v1::CONTAINER_STARTED_EVENT);
  return sandbox->id();
}

// One at a time for each name: the caller is a flight.
absl::StatusOr<std::string> FindOrRun(Node& node, Context& ctx,
                                      const v1::RunPodSandboxRequest& request,
                                      const std::string& name) {
  while (const auto existing = node.sandboxes.FindByName(name)) {
    if (existing->record()->state() != sv1::SANDBOX_REMOVING) {
      return existing->id();
    }
    ctx.SetStage("finish the removal of the sandbox before it");
    absl::MutexLock lock(&existing->op_mutex);
    if (node.sandboxes.FindByName(name) == existing) {
      RETURN_IF_ERROR(RemoveSandboxLocked(node, ctx, *existing));
    }
  }
  return RunNew(node, ctx, request, name);
}

}  // namespace

absl::StatusOr<v1::RunPodSandboxResponse> RunPodSandbox(Node& node, Context& ctx,
                                                        const v1::RunPodSandboxRequest& request) {
  RETURN_IF_ERROR(CheckPodConfig(request.config()));
  ASSIGN_OR_RETURN(const auto runtime, node.runtimes.Find(request.runtime_handler()));
  RETURN_IF_ERROR(WorkloadOf(node.config.runtime, request.config()).status());
  RETURN_IF_ERROR(QuietCpusOf(node.config.runtime, runtime->name(), request.config(), {}).status());
  if (spec::HasUserNamespace(request.config())) {
    RETURN_IF_ERROR(UserNamespacesOf(node, request.runtime_handler()));
  }
  const std::string name = SandboxName(request.config().metadata());
  auto work = [&node, request, name](Context& op) { return FindOrRun(node, op, request, name); };
  ASSIGN_OR_RETURN(
      std::string id,
      node.run_sandbox_flights.Do(ctx, name, node.config.runtime.create_timeout, std::move(work)));
  v1::RunPodSandboxResponse response;
  response.set_pod_sandbox_id(std::move(id));
  return response;
}

}  // namespace davit::server
