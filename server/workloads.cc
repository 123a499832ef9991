// SPDX-License-Identifier: Apache-2.0
#include "server/workloads.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

#include "base/cpus.h"
#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "config/handler_settings.h"

namespace davit::server {
namespace {

using Json = nlohmann::json;
using Resources = runtime::v1::LinuxContainerResources;

constexpr int64_t kDefaultPeriod = 100'000;  // of the kernel, in microseconds
constexpr int64_t kLeastQuota = 1000;        // that the kernel takes
constexpr size_t kMaxAnnotation = 4096;

// Whoever writes annotations by hand quotes numbers, too.
std::optional<int64_t> Number(const Json& value) {
  if (value.is_number_integer()) {
    return value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)
               ? std::nullopt
               : std::optional(value.get<int64_t>());
  }
  return value.is_string() ? ParseInt(value.get_ref<const std::string&>()) : std::nullopt;
}

absl::Status ReadNumber(const std::string& key, const Json& value, int64_t least, int64_t& out) {
  const auto number = Number(value);
  if (!number || *number < least) {
    return InvalidArgument("{} {}: must be a whole number from {} on", key,
                           Printable(DumpJson(value), 80), least);
  }
  out = *number;
  return absl::OkStatus();
}

absl::Status ReadOne(const std::string& key, const Json& value, config::WorkloadResources& out) {
  if (key == "cpushares") {
    return ReadNumber(key, value, 0, out.cpushares);
  }
  if (key == "cpuperiod") {
    return ReadNumber(key, value, 0, out.cpuperiod);
  }
  if (key == "cpuquota") {
    out.cpulimit = 0;  // the node's, which would say otherwise
    return ReadNumber(key, value, -1, out.cpuquota);
  }
  if (key == "cpulimit") {
    out.cpuquota = 0;
    return ReadNumber(key, value, 0, out.cpulimit);
  }
  if (key == "cpuset") {
    if (!value.is_string()) {
      return InvalidArgument("cpuset must be a text such as \"0-2,7\"");
    }
    out.cpuset = value.get<std::string>();
    return Annotate(ParseCpuList(out.cpuset).status(), "cpuset");
  }
  return InvalidArgument(
      "\"{}\" is no resource of a workload; known are cpushares, cpuquota, cpuperiod, cpulimit and "
      "cpuset",
      Printable(key, 80));
}

// What the pod's annotation for the container says goes before what the node says.
absl::Status ReadAnnotation(const config::Workload& workload,
                            const runtime::v1::PodSandboxConfig& sandbox,
                            const std::string& container, config::WorkloadResources& resources) {
  if (workload.annotation_prefix.empty()) {
    return absl::OkStatus();
  }
  const std::string name = workload.annotation_prefix + "/" + container;
  const auto annotation = sandbox.annotations().find(name);
  if (annotation == sandbox.annotations().end()) {
    return absl::OkStatus();
  }
  const std::string what = "annotation " + Printable(name);
  ASSIGN_OR_RETURN(const Json wanted, ParseJson(annotation->second, what, kMaxAnnotation));
  if (!wanted.is_object()) {
    return InvalidArgument("{}: must be an object such as {{\"cpushares\": 512}}", what);
  }
  if (wanted.contains("cpuquota") && wanted.contains("cpulimit")) {
    return InvalidArgument("{}: cpuquota and cpulimit say the same in two ways: leave one out",
                           what);
  }
  for (const auto& [key, value] : wanted.items()) {
    RETURN_IF_ERROR(Annotate(ReadOne(key, value, resources), what));
  }
  return absl::OkStatus();
}

void Overwrite(const config::WorkloadResources& from, Resources& resources) {
  if (from.cpushares != 0) {
    resources.set_cpu_shares(from.cpushares);
  }
  if (from.cpuperiod != 0) {
    resources.set_cpu_period(from.cpuperiod);
  }
  if (from.cpuquota != 0) {
    resources.set_cpu_quota(from.cpuquota);
  }
  if (from.cpulimit != 0) {
    if (resources.cpu_period() <= 0) {
      resources.set_cpu_period(kDefaultPeriod);
    }
    // Written so that nothing overflows, whatever an annotation says.
    const int64_t limit = std::min<int64_t>(from.cpulimit, kMaxCpus * int64_t{1000});
    const int64_t period = std::min<int64_t>(resources.cpu_period(), 1'000'000);
    resources.set_cpu_quota(std::max(kLeastQuota, limit * period / 1000));
  }
  if (!from.cpuset.empty()) {
    resources.set_cpuset_cpus(from.cpuset);
  }
}

}  // namespace

absl::StatusOr<const config::Workload*> WorkloadOf(const config::Runtime& config,
                                                   const runtime::v1::PodSandboxConfig& sandbox) {
  const std::string* name = nullptr;
  const config::Workload* found = nullptr;
  for (const auto& [other, workload] : config.workloads) {
    if (sandbox.annotations().count(workload.activation_annotation) == 0) {
      continue;
    }
    if (found != nullptr) {
      return InvalidArgument(
          "pod {}: its annotations {} and {} make it belong to two workloads, {} and {}: leave one "
          "out",
          Printable(sandbox.metadata().name()), found->activation_annotation,
          workload.activation_annotation, *name, other);
    }
    name = &other;
    found = &workload;
  }
  return found;
}

absl::Status ApplyWorkload(const config::Runtime& config,
                           const runtime::v1::PodSandboxConfig& sandbox,
                           const std::string& container, Resources& resources) {
  ASSIGN_OR_RETURN(const config::Workload* const workload, WorkloadOf(config, sandbox));
  if (workload == nullptr) {
    return absl::OkStatus();
  }
  config::WorkloadResources wanted = workload->resources;
  RETURN_IF_ERROR(ReadAnnotation(*workload, sandbox, container, wanted));
  Overwrite(wanted, resources);
  return absl::OkStatus();
}

absl::Status ConfineToWorkload(const config::Runtime& config,
                               const runtime::v1::PodSandboxConfig& sandbox, pid_t pid) {
  ASSIGN_OR_RETURN(const config::Workload* const workload, WorkloadOf(config, sandbox));
  if (workload == nullptr || workload->resources.cpuset.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const CpuSet cpus, ParseCpuList(workload->resources.cpuset));
  const absl::Status set = SetAffinity(pid, cpus);
  return absl::IsNotFound(set) ? absl::OkStatus() : set;
}

std::vector<std::string> AllowedAnnotations(const config::Runtime& config,
                                            const std::string& handler,
                                            const runtime::v1::PodSandboxConfig& sandbox) {
  std::vector<std::string> allowed = config::HandlerSettings(config, handler).allowed_annotations;
  // Of two workloads, which the pod's request was refused for, none counts.
  const auto workload = WorkloadOf(config, sandbox);
  if (workload.ok() && *workload != nullptr) {
    const auto& more = (*workload)->allowed_annotations;
    allowed.insert(allowed.end(), more.begin(), more.end());
  }
  return allowed;
}

}  // namespace davit::server
