// SPDX-License-Identifier: Apache-2.0
#include "server/network_upkeep.h"

#include <memory>
#include <string>

#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "network/host_ports/host_ports.h"
#include "server/sandbox/sandbox_network.h"
#include "server/state/state_db.h"
#include "server/sweep.h"

namespace davit::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kHostPortsInterval{5};
// How soon a new configuration is noticed: a stat(2) of each file.
constexpr std::chrono::minutes kGarbageLook{1};
constexpr std::chrono::minutes kTimeout{5};

Periodic::Work HostPortsWork(Node& node) {
  network::HostPorts* const ports = node.host_ports;
  if (ports == nullptr) {
    return {.due = [] { return false; }, .run = [](Context&) {}};
  }
  // What stays wrong is said once, not every five seconds.
  auto said = std::make_shared<std::string>();
  return {.due = [ports] { return ports->MayDiffer(); },
          .run =
              [ports, said](Context& ctx) {
                const absl::Status status = ports->Check(ctx);
                const std::string now = status.ok() ? "" : Message(status);
                if (now != *said) {
                  log::IfError(status, "check the host ports");
                  *said = now;
                }
              }};
}

}  // namespace

NetworkUpkeep::NetworkUpkeep(Node& node)
    : node_(node),
      garbage_(node.loop, node.executor, kGarbageLook,
               {.due = [] { return true; }, .run = [this](Context& ctx) { CollectGarbage(ctx); }}),
      host_ports_(node.loop, node.executor, kHostPortsInterval, HostPortsWork(node)) {}

// The row of a pod is there before its network and goes after it.
void NetworkUpkeep::DetachUnknown(Context& ctx) {
  const auto cached = node_.cni.CachedSandboxes();
  log::IfError(cached.status(), "list the networks of sandboxes");
  for (const auto& id : cached.value_or(std::vector<std::string>())) {
    const auto known = node_.state.HasSandbox(id);
    if (!known.ok() || *known || !ctx.Check().ok()) {
      log::IfError(known.status(), "look up sandbox " + ShortId(id));
      continue;
    }
    log::Info("network of sandbox {} has no record: detaching it", ShortId(id));
    log::IfError(DetachLeftover(node_, ctx, id), "detach the network of sandbox " + ShortId(id));
  }
}

void NetworkUpkeep::CheckPods(Context& ctx) {
  for (const auto& sandbox : node_.sandboxes.List()) {
    const auto record = sandbox->record();
    if (record->state() != davit::state::v1::SANDBOX_READY || !record->network_attached() ||
        !ctx.Check().ok()) {
      continue;
    }
    const absl::Status status = node_.cni.Check(ctx, ToPodNetwork(node_, *record));
    // One that is being stopped meanwhile is no news.
    if (!status.ok() && sandbox->record()->state() == davit::state::v1::SANDBOX_READY) {
      log::Warning("sandbox {}: its network is not what it was: {}", ShortId(sandbox->id()),
                   Message(status));
    }
  }
}

void NetworkUpkeep::CollectGarbage(Context& ctx) {
  const std::string network = node_.cni.Fingerprint();
  const auto interval = node_.config.network.gc_interval;
  const bool first = collected_at_ == Clock::time_point();
  const bool due = !first && interval.count() > 0 && Clock::now() - collected_at_ >= interval;
  if (!first && !due && network == collected_for_) {
    return;
  }
  Context limited(ctx, kTimeout);
  if (!first) {
    DetachUnknown(limited);  // recovery does it at the start
  }
  const absl::Status collected = node_.cni.CollectGarbage(limited);
  if (absl::IsUnavailable(collected)) {
    return;  // pods come and go just now: at the next look
  }
  log::IfError(collected, "have CNI plugins collect their garbage");
  if (due) {
    CheckPods(limited);
  }
  collected_for_ = network;
  collected_at_ = Clock::now();
}

}  // namespace davit::server
