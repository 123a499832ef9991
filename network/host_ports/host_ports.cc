// SPDX-License-Identifier: Apache-2.0
#include "network/host_ports/host_ports.h"

#include <sys/socket.h>

#include <utility>

#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "network/host_ports/loopback_route.h"
#include "network/host_ports/nft.h"
#include "network/host_ports/ruleset.h"
#include "network/host_ports/udp_flows.h"

namespace davit::network {
namespace {

// What may be missing without harm to others is no reason to refuse a pod.
void RouteLoopback(const std::vector<HostPort>& ports) {
  std::string done;
  for (const HostPort& port : ports) {
    const bool local = port.host_ip.empty() || port.host_ip.starts_with("127.");
    if (port.family == AF_INET && local && port.pod_ip != done) {
      log::IfError(RouteLoopbackTo(port.pod_ip),
                   "make host ports of " + port.pod_ip + " reachable under 127.0.0.1");
      done = port.pod_ip;
    }
  }
}

}  // namespace

void HostPorts::Load(const std::vector<PublishedPod>& pods) {
  absl::MutexLock lock(&mutex_);
  for (const PublishedPod& pod : pods) {
    absl::StatusOr<std::vector<HostPort>> ports = HostPortsOf(pod);
    absl::Status status = ports.status();
    if (status.ok()) {
      status = CheckFree(pod, *ports);
    }
    if (!status.ok()) {
      log::Warning("host ports of pod {} ({}) are not published again: {}", pod.name,
                   ShortId(pod.id), Message(status));
      continue;
    }
    pods_[pod.id] = {pod.name, *std::move(ports)};
  }
  used_ = true;  // also where there is none: an earlier daemon may have left some
  dirty_ = true;
}

std::vector<HostPort> HostPorts::All() const {
  std::vector<HostPort> all;
  for (const auto& [id, entry] : pods_) {
    all.insert(all.end(), entry.ports.begin(), entry.ports.end());
  }
  return all;
}

absl::Status HostPorts::CheckFree(const PublishedPod& pod,
                                  const std::vector<HostPort>& ports) const {
  for (const auto& [id, entry] : pods_) {
    for (const HostPort& theirs : entry.ports) {
      for (const HostPort& ours : ports) {
        if (id != pod.id && Collide(ours, theirs)) {
          return AlreadyExists("host port {} is taken by pod {} (sandbox {}, {})", Describe(ours),
                               entry.name, ShortId(id), Describe(theirs));
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status HostPorts::Apply(Context& ctx) {
  const std::vector<HostPort> all = All();
  // A child that is killed may have done its work.
  dirty_ = true;
  used_ = true;
  if (all.empty()) {
    ASSIGN_OR_RETURN(const bool exists, nft::TableExists(kHostPortTable));
    if (exists) {
      RETURN_IF_ERROR(nft::Apply(ctx, ReplaceTable(all)));
    }
    used_ = false;
    dirty_ = false;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(nft::Apply(ctx, ReplaceTable(all)));
  seen_generation_ = 0;
  dirty_ = false;
  return absl::OkStatus();
}

absl::Status HostPorts::Publish(Context& ctx, const PublishedPod& pod) {
  ASSIGN_OR_RETURN(const std::vector<HostPort> ports, HostPortsOf(pod));
  if (ports.empty()) {
    return absl::OkStatus();
  }
  ctx.SetStage("publish host ports");
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckFree(pod, ports));
  const auto before = pods_.find(pod.id) == pods_.end() ? Entry{} : pods_[pod.id];
  pods_[pod.id] = {pod.name, ports};
  if (absl::Status status = Apply(ctx); !status.ok()) {
    if (before.ports.empty()) {
      pods_.erase(pod.id);
    } else {
      pods_[pod.id] = before;
    }
    return status;
  }
  RouteLoopback(ports);
  log::IfError(ForgetUnpublished(ports), "forget UDP conversations with ports of pod " + pod.name);
  return absl::OkStatus();
}

absl::Status HostPorts::Withdraw(Context& ctx, const std::string& pod_id) {
  absl::MutexLock lock(&mutex_);
  const auto found = pods_.find(pod_id);
  if (found == pods_.end()) {
    return absl::OkStatus();
  }
  ctx.SetStage("withdraw host ports");
  const Entry entry = std::move(found->second);
  pods_.erase(found);
  if (absl::Status status = Apply(ctx); !status.ok()) {
    pods_[pod_id] = entry;
    return status;
  }
  log::IfError(ForgetPublished(entry.ports),
               "forget UDP conversations with ports of pod " + entry.name);
  return absl::OkStatus();
}

bool HostPorts::MayDiffer() const {
  if (!used_) {
    return false;
  }
  const absl::StatusOr<uint32_t> now = nft::Generation();
  return dirty_ || !now.ok() || *now != seen_generation_;
}

absl::StatusOr<bool> HostPorts::IsIntact(Context& ctx) const {
  if (dirty_) {
    return false;
  }
  const absl::StatusOr<std::string> listing = nft::ListTable(ctx, kHostPortTable);
  if (absl::IsNotFound(listing.status())) {
    return false;
  }
  RETURN_IF_ERROR(listing.status());
  const absl::StatusOr<TableSize> size = SizeOf(*listing);
  return size.ok() && *size == ExpectedSize(All());
}

// A pod that asks for host ports there is refused with the reason: the log need not repeat it.
bool HostPorts::NothingCanBeThere() {
  const absl::Status kernel = pods_.empty() ? nft::CheckKernel() : absl::OkStatus();
  if (!absl::IsFailedPrecondition(kernel)) {
    return false;
  }
  if (!std::exchange(told_, true)) {
    log::Warning("pods cannot have host ports: {}", Message(kernel));
  }
  used_ = false;
  dirty_ = false;
  return true;
}

absl::Status HostPorts::Check(Context& ctx) {
  absl::MutexLock lock(&mutex_);
  if (!used_ || NothingCanBeThere()) {
    return absl::OkStatus();
  }
  // Before the look: a change in between is seen at the next.
  const uint32_t generation = nft::Generation().value_or(0);
  ASSIGN_OR_RETURN(const bool intact, IsIntact(ctx));
  if (intact) {
    seen_generation_ = generation;
    return absl::OkStatus();
  }
  if (!dirty_) {
    log::Warning("somebody changed the nftables table {}: the host ports of {} pods are restored",
                 kHostPortTable, pods_.size());
  }
  RETURN_IF_ERROR(Apply(ctx));
  RouteLoopback(All());
  return absl::OkStatus();
}

}  // namespace davit::network
