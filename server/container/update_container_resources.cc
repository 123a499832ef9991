// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/status.h"
#include "server/container/container_rpcs.h"
#include "server/container/quiet_cpus.h"
#include "server/paths.h"
#include "server/spec/spec.h"
#include "server/update.h"
#include "server/workloads.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;
namespace sv1 = davit::state::v1;

// What the request leaves unset stays as it is. Lists are taken whole.
v1::LinuxContainerResources Merge(const v1::LinuxContainerResources& now,
                                  const v1::LinuxContainerResources& request) {
  v1::LinuxContainerResources merged = now;
  if (request.hugepage_limits_size() > 0) {
    merged.clear_hugepage_limits();
  }
  merged.MergeFrom(request);
  return merged;
}

// A container that does not run yet gets them from its config.
absl::Status PatchSpec(const Node& node, const std::string& id, const std::string& resources,
                       bool lifts_quota) {
  const std::string path = Paths(node.config.storage.run).SpecFile(id);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(nlohmann::json spec, ParseJson(text, path));
  ASSIGN_OR_RETURN(const nlohmann::json patch, ParseJson(resources, "resources"));
  spec["linux"]["resources"].merge_patch(patch);
  if (lifts_quota && spec["linux"]["resources"].contains("cpu")) {
    spec["linux"]["resources"]["cpu"].erase("quota");
  }
  return WriteFileAtomic(path, DumpJson(spec));
}

absl::Status PatchProcess(const Node& node, const std::string& id, const char* key, int64_t value) {
  const std::string path = Paths(node.config.storage.run).SpecFile(id);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(nlohmann::json spec, ParseJson(text, path));
  spec["process"][key] = value;
  return WriteFileAtomic(path, DumpJson(spec));
}

absl::Status Apply(Node& node, Context& ctx, const Container::Record& record,
                   const v1::LinuxContainerResources& request) {
  const bool v2 = node.cgroups.mode() == CgroupMode::kV2;
  ASSIGN_OR_RETURN(const std::string resources, spec::UpdateResources(request, v2));
  const bool lifts_quota = request.cpu_quota() < 0;
  switch (record.state()) {
    case sv1::CONTAINER_CREATED:
      return PatchSpec(node, record.id(), resources, lifts_quota);
    case sv1::CONTAINER_RUNNING: {
      ASSIGN_OR_RETURN(const auto runtime, node.runtimes.Find(record.handler()));
      RETURN_IF_ERROR(node.cgroup_manager.NoteResources(record.cgroup(), request, std::nullopt));
      if (lifts_quota) {
        RETURN_IF_ERROR(LiftQuota(node, record.cgroup()));
      }
      ctx.SetStage("update by OCI runtime " + runtime->name());
      return runtime->Update(ctx, record.id(), resources);
    }
    default:
      return FailedPrecondition(
          "container {} is neither created nor running but {}: its resources cannot be updated",
          ShortId(record.id()), sv1::ContainerState_Name(record.state()));
  }
}

// OCI runtimes have no word for it: it is written to the processes that there are, as low as davit
// may go. 0 is what a request without a word on it says. Those that start later inherit it.
absl::Status ApplyOomScore(const Node& node, const Container::Record& record,
                           const v1::LinuxContainerResources& request) {
  if (request.oom_score_adj() == 0 ||
      request.oom_score_adj() == record.config().linux().resources().oom_score_adj()) {
    return absl::OkStatus();
  }
  if (request.oom_score_adj() < -1000 || request.oom_score_adj() > 1000) {
    return InvalidArgument("resources.oom_score_adj {}: must be from -1000 to 1000",
                           request.oom_score_adj());
  }
  const int64_t score = std::max<int64_t>(request.oom_score_adj(), node.lowest_oom_score_adj);
  if (record.state() == sv1::CONTAINER_CREATED) {
    return PatchProcess(node, record.id(), "oomScoreAdj", score);
  }
  ASSIGN_OR_RETURN(const auto pids, node.cgroups.Pids(record.cgroup()));
  for (const int pid : pids) {
    const absl::Status written =
        WriteExisting(fmt::format("/proc/{}/oom_score_adj", pid), std::to_string(score));
    if (!written.ok() && !absl::IsNotFound(written)) {
      return Annotate(written, "resources.oom_score_adj");
    }
  }
  return absl::OkStatus();
}

// What the pod's workload decides on stays as it is, also when the kubelet hands out CPUs anew; and
// what the container has by its pod's annotations.
absl::StatusOr<v1::LinuxContainerResources> Allowed(const Node& node,
                                                    const Container::Record& record,
                                                    v1::LinuxContainerResources resources) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(record.sandbox_id()));
  RETURN_IF_ERROR(ApplyWorkload(node.config.runtime, sandbox->record()->config(),
                                record.config().metadata().name(), resources));
  RETURN_IF_ERROR(KeepQuietCpus(node, record, resources));
  return resources;
}

}  // namespace

absl::StatusOr<v1::UpdateContainerResourcesResponse> UpdateContainerResources(
    Node& node, Context& ctx, const v1::UpdateContainerResourcesRequest& request) {
  ASSIGN_OR_RETURN(const auto container, node.containers.Find(request.container_id()));
  if (!request.has_linux()) {
    return InvalidArgument("container {}: the request has no linux resources to set",
                           ShortId(container->id()));
  }
  absl::MutexLock lock(&container->op_mutex);
  const auto record = container->record();
  ASSIGN_OR_RETURN(const auto resources, Allowed(node, *record, request.linux()));
  RETURN_IF_ERROR(Apply(node, ctx, *record, resources));
  RETURN_IF_ERROR(ApplyOomScore(node, *record, resources));
  const auto merged = Merge(record->config().linux().resources(), resources);
  RETURN_IF_ERROR(Update(node, *container, [&merged](auto& next) {
    *next.mutable_config()->mutable_linux()->mutable_resources() = merged;
  }));
  return v1::UpdateContainerResourcesResponse();
}

}  // namespace davit::server
