// SPDX-License-Identifier: Apache-2.0
#include "server/container/quiet_cpus.h"

#include <memory>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "server/cgroup/isolated_cpus.h"
#include "server/irq_affinity.h"
#include "server/spec/annotations.h"
#include "server/workloads.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;
namespace sv1 = davit::state::v1;

constexpr int64_t kDefaultPeriod = 100'000;  // of the kernel, in microseconds
constexpr int64_t kSharesOfACpu = 1024;

absl::StatusOr<bool> IsDisabled(const v1::PodSandboxConfig& sandbox,
                                const std::vector<std::string>& allowed, const char* key) {
  const auto found = sandbox.annotations().find(key);
  if (found == sandbox.annotations().end() || !spec::IsAllowed(allowed, key)) {
    return false;
  }
  if (found->second != "disable" && found->second != "enable") {
    return InvalidArgument("annotation {}: \"{}\" is neither disable nor enable", key,
                           Printable(found->second, 80));
  }
  return found->second == "disable";
}

bool HasOwnCpus(const v1::LinuxContainerResources& resources, const CpuSet& cpus) {
  const auto count = static_cast<int64_t>(cpus.size());
  const int64_t period = resources.cpu_period() > 0 ? resources.cpu_period() : kDefaultPeriod;
  return count > 0 && resources.cpu_shares() == count * kSharesOfACpu &&
         (resources.cpu_quota() <= 0 || resources.cpu_quota() == count * period);
}

absl::StatusOr<QuietCpus> QuietCpusOfRecord(const Node& node, const Container::Record& record) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(record.sandbox_id()));
  return QuietCpusOf(node.config.runtime, record.handler(), sandbox->record()->config(),
                     record.config().linux().resources());
}

// The container's own would not help below the pod's, which is the sum of its containers'.
absl::Status LiftPodQuota(const Node& node, const Container::Record& record) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(record.sandbox_id()));
  return Annotate(LiftQuota(node, sandbox->record()->cgroup()),
                  fmt::format("annotation {}", spec::kCpuQuotaAnnotation));
}

}  // namespace

absl::StatusOr<QuietCpus> QuietCpusOf(const config::Runtime& config, const std::string& handler,
                                      const v1::PodSandboxConfig& sandbox,
                                      const v1::LinuxContainerResources& resources) {
  const std::vector<std::string> allowed = AllowedAnnotations(config, handler, sandbox);
  QuietCpus quiet;
  ASSIGN_OR_RETURN(quiet.no_quota, IsDisabled(sandbox, allowed, spec::kCpuQuotaAnnotation));
  ASSIGN_OR_RETURN(quiet.no_load_balancing,
                   IsDisabled(sandbox, allowed, spec::kLoadBalancingAnnotation));
  ASSIGN_OR_RETURN(quiet.no_interrupts, IsDisabled(sandbox, allowed, spec::kIrqAnnotation));
  if (!quiet.no_quota && !quiet.no_load_balancing && !quiet.no_interrupts) {
    return quiet;
  }
  auto cpus = ParseCpuList(resources.cpuset_cpus());
  RETURN_IF_ERROR(Annotate(cpus.status(), "resources.cpuset_cpus"));
  if (!HasOwnCpus(resources, *cpus)) {
    return QuietCpus();
  }
  quiet.cpus = *std::move(cpus);
  return quiet;
}

absl::Status ApplyQuietCpus(const config::Runtime& config, const std::string& handler,
                            const v1::PodSandboxConfig& sandbox,
                            v1::LinuxContainerResources& resources) {
  ASSIGN_OR_RETURN(const QuietCpus quiet, QuietCpusOf(config, handler, sandbox, resources));
  if (quiet.no_quota && resources.cpu_quota() > 0) {
    resources.set_cpu_quota(-1);
  }
  return absl::OkStatus();
}

absl::Status KeepQuietCpus(const Node& node, const Container::Record& record,
                           v1::LinuxContainerResources& resources) {
  ASSIGN_OR_RETURN(const QuietCpus quiet, QuietCpusOfRecord(node, record));
  if (quiet.no_quota && resources.cpu_quota() > 0) {
    resources.set_cpu_quota(-1);
  }
  const bool running = record.state() == sv1::CONTAINER_RUNNING;
  if (!running || !(quiet.no_load_balancing || quiet.no_interrupts) ||
      resources.cpuset_cpus().empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const CpuSet wanted, ParseCpuList(resources.cpuset_cpus()));
  if (wanted != quiet.cpus) {
    return FailedPrecondition(
        "container {}: resources.cpuset_cpus {}: it runs without load balancing or interrupts on "
        "CPUs {}, which stay its own until it ends",
        ShortId(record.id()), resources.cpuset_cpus(), CpuListText(quiet.cpus));
  }
  return absl::OkStatus();
}

absl::Status LiftQuota(const Node& node, const std::string& cgroup) {
  v1::LinuxContainerResources without;
  without.set_cpu_quota(-1);
  return node.cgroup_manager.SetResources(cgroup, without);
}

absl::Status QuietBeforeStart(Node& node, const Container::Record& record) {
  ASSIGN_OR_RETURN(const QuietCpus quiet, QuietCpusOfRecord(node, record));
  if (quiet.no_quota) {
    RETURN_IF_ERROR(LiftPodQuota(node, record));
  }
  return quiet.no_interrupts && node.irqs != nullptr ? node.irqs->Take(record.id(), quiet.cpus)
                                                     : absl::OkStatus();
}

absl::Status QuietAfterStart(Node& node, const Container::Record& record) {
  ASSIGN_OR_RETURN(const QuietCpus quiet, QuietCpusOfRecord(node, record));
  if (!quiet.no_load_balancing || node.isolated_cpus == nullptr) {
    return absl::OkStatus();
  }
  const absl::Status isolated = node.isolated_cpus->Isolate(record.cgroup(), quiet.cpus);
  // The container may have ended by now, and its cgroup with it.
  return node.cgroup_manager.Exists(record.cgroup()) ? isolated : absl::OkStatus();
}

void ReclaimQuietCpus(Node& node, const Container::Record& record) {
  const auto quiet = QuietCpusOfRecord(node, record);
  if (!quiet.ok()) {
    log::IfError(quiet.status(),
                 "look for CPUs that container " + ShortId(record.id()) + " has for itself");
    return;
  }
  if (quiet->no_interrupts && node.irqs != nullptr) {
    node.irqs->Claim(record.id(), quiet->cpus);
  }
  // The daemon before may have died in the middle of the start.
  log::IfError(QuietAfterStart(node, record), "container " + ShortId(record.id()));
}

absl::Status ReleaseQuietCpus(Node& node, const Container::Record& record) {
  if (node.irqs != nullptr) {
    RETURN_IF_ERROR(node.irqs->GiveBack(record.id()));
  }
  const auto quiet = QuietCpusOfRecord(node, record);
  // Without its pod, or with a configuration that no longer allows it, there is nothing to go by.
  return quiet.ok() && quiet->no_load_balancing && node.isolated_cpus != nullptr
             ? node.isolated_cpus->Release(record.cgroup(), quiet->cpus)
             : absl::OkStatus();
}

}  // namespace davit::server
