// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "server/oci/runtime.h"
#include "server/oci/runtime_mounts.h"
#include "server/paths.h"

namespace davit::server::oci {
namespace {

constexpr std::chrono::seconds kProbeTime{10};
// The first crun that leaves controllers of the v2 hierarchy of a hybrid host alone.
constexpr int64_t kHybridCrunMajor = 1;
constexpr int64_t kHybridCrunMinor = 9;

bool OlderThan(const std::string& version, int64_t major, int64_t minor) {
  const std::vector<std::string> parts = Split(version, '.');
  const int64_t have_major = ParseInt(parts[0]).value_or(0);
  const int64_t have_minor = parts.size() > 1 ? ParseInt(parts[1]).value_or(0) : 0;
  return std::pair(have_major, have_minor) < std::pair(major, minor);
}

absl::Status CheckHost(const Runtime& runtime, const CgroupFs& cgroups) {
  const std::vector<std::string>& controllers = cgroups.v2_controllers_on_hybrid();
  if (runtime.program() == "crun" && cgroups.mode() == CgroupMode::kHybrid &&
      !controllers.empty() && OlderThan(runtime.version(), kHybridCrunMajor, kHybridCrunMinor)) {
    return FailedPrecondition(
        "crun {} cannot run on a hybrid cgroup host whose v2 hierarchy holds controllers ({}); "
        "mount them in v1, or install crun {}.{} or later",
        runtime.version(), Join(controllers, ", "), kHybridCrunMajor, kHybridCrunMinor);
  }
  return absl::OkStatus();
}

// Those whose calls are known to need nothing else.
bool KnowsNoMounts(const Runtime& runtime) {
  return runtime.program() == "crun" || runtime.program() == "runc";
}

// None where the kernel or the node's root file system does not let it be made: what it spares is
// time only.
std::shared_ptr<const RuntimeMounts> MakeMounts(
    const config::Storage& storage,
    const std::map<std::string, std::shared_ptr<Runtime>>& runtimes) {
  std::vector<std::string> paths = {storage.run, storage.root, "/var/lib/kubelet", "/var/log/pods"};
  for (const auto& [name, runtime] : runtimes) {
    paths.push_back(runtime->path());
    paths.push_back(runtime->root());
  }
  auto mounts = RuntimeMounts::Create(paths);
  if (!mounts.ok()) {
    log::Info("OCI runtimes see all mounts of the node: {}", Message(mounts.status()));
    return nullptr;
  }
  return *std::move(mounts);
}

absl::StatusOr<std::shared_ptr<Runtime>> MakeRuntime(const std::string& name,
                                                     const config::RuntimeHandler& handler,
                                                     const std::string& run,
                                                     const CgroupFs& cgroups) {
  ASSIGN_OR_RETURN(std::string path, FindProgram(handler.path.empty() ? name : handler.path));
  auto runtime = std::make_shared<Runtime>(
      name, std::move(path), handler.root.empty() ? Paths(run).RuntimeRoot(name) : handler.root);
  Context ctx(kProbeTime);
  RETURN_IF_ERROR(runtime->Probe(ctx));
  RETURN_IF_ERROR(CheckHost(*runtime, cgroups));
  return runtime;
}

std::string Reasons(const std::map<std::string, std::string>& dropped) {
  std::vector<std::string> parts;
  parts.reserve(dropped.size());
  for (const auto& [name, reason] : dropped) {
    parts.push_back(fmt::format("{}: {}", name, reason));
  }
  return Join(parts, "; ");
}

}  // namespace

absl::StatusOr<RuntimeTable> RuntimeTable::Create(const config::Config& config,
                                                  const CgroupFs& cgroups) {
  std::map<std::string, config::RuntimeHandler> handlers = config.runtime.handlers;
  handlers.try_emplace("crun");
  handlers.try_emplace("runc");
  RuntimeTable table;
  std::map<std::string, std::shared_ptr<Runtime>> runtimes;
  for (const auto& [name, handler] : handlers) {
    auto runtime = MakeRuntime(name, handler, config.storage.run, cgroups);
    if (runtime.ok()) {
      runtimes[name] = *std::move(runtime);
    } else {
      table.dropped_[name] = Message(runtime.status());
    }
  }
  const auto mounts = MakeMounts(config.storage, runtimes);
  for (const auto& [name, runtime] : runtimes) {
    if (KnowsNoMounts(*runtime)) {
      runtime->UseMounts(mounts);
    }
    table.runtimes_[name] = runtime;
  }
  if (table.runtimes_.empty()) {
    return FailedPrecondition("no OCI runtime can run here ({}); install crun or runc",
                              Reasons(table.dropped_));
  }
  const std::string& wanted = config.runtime.default_handler;
  if (!wanted.empty()) {
    RETURN_IF_ERROR(Annotate(table.Find(wanted).status(), "runtime.default_handler"));
    table.default_ = wanted;
  } else if (table.runtimes_.count("crun") != 0) {
    table.default_ = "crun";
  } else {
    table.default_ = table.runtimes_.count("runc") != 0 ? "runc" : table.runtimes_.begin()->first;
  }
  return table;
}

absl::StatusOr<std::shared_ptr<const Runtime>> RuntimeTable::Find(
    const std::string& handler) const {
  const std::string& name = handler.empty() ? default_ : handler;
  if (const auto it = runtimes_.find(name); it != runtimes_.end()) {
    return it->second;
  }
  if (const auto it = dropped_.find(name); it != dropped_.end()) {
    return NotFound("runtime handler '{}' cannot run on this node: {}", name, it->second);
  }
  std::vector<std::string> known;
  known.reserve(runtimes_.size());
  for (const auto& [other, runtime] : runtimes_) {
    known.push_back(other);
  }
  return NotFound("runtime handler '{}' is not configured; known are {}", Printable(name, 100),
                  Join(known, ", "));
}

std::vector<std::shared_ptr<const Runtime>> RuntimeTable::List() const {
  std::vector<std::shared_ptr<const Runtime>> all;
  all.reserve(runtimes_.size());
  for (const auto& [name, runtime] : runtimes_) {
    all.push_back(runtime);
  }
  return all;
}

}  // namespace davit::server::oci
