// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/sandbox_network.h"

#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "network/host_ports/host_ports.h"
#include "network/result.h"
#include "server/paths.h"
#include "server/sandbox/pod_config.h"
#include "server/spec/annotations.h"
#include "server/update.h"
#include "server/workloads.h"

namespace davit::server {

namespace {

// What a pod may choose for itself in its network: only where the handler lets it, and the network
// has a plugin that asks for it.
constexpr char kIpsAnnotation[] = "davit.io/ips";
constexpr char kMacAnnotation[] = "davit.io/mac";
constexpr char kAliasesAnnotation[] = "davit.io/aliases";

std::vector<std::string> AllowedFor(const Node& node, const Sandbox::Record& record) {
  const auto runtime = node.runtimes.Find(record.runtime_handler());
  return runtime.ok() ? AllowedAnnotations(node.config.runtime, (*runtime)->name(), record.config())
                      : std::vector<std::string>();
}

std::vector<std::string> Listed(const std::string& text) {
  std::vector<std::string> result;
  for (const std::string& part : Split(text, ',')) {
    if (const auto word = Trim(part); !word.empty()) {
      result.emplace_back(word);
    }
  }
  return result;
}

void AddChosen(const Node& node, const Sandbox::Record& record, network::PodNetwork& pod) {
  const auto allowed = AllowedFor(node, record);
  const auto value = [&](const char* key) {
    const auto found = pod.annotations.find(key);
    return found != pod.annotations.end() && spec::IsAllowed(allowed, key) ? found->second : "";
  };
  pod.static_ips = Listed(value(kIpsAnnotation));
  pod.mac = value(kMacAnnotation);
  pod.aliases = Listed(value(kAliasesAnnotation));
}

absl::StatusOr<network::PublishedPod> ToPublishedPod(const Node& node,
                                                     const Sandbox::Record& record) {
  const auto& metadata = record.config().metadata();
  network::PublishedPod pod;
  pod.id = record.id();
  pod.name = metadata.namespace_() + "/" + metadata.name();
  pod.ports = ToPodNetwork(node, record).port_mappings;
  ASSIGN_OR_RETURN(pod.addresses, network::PodAddresses(record.cni_result()));
  return pod;
}

}  // namespace

network::PodNetwork ToPodNetwork(const Node& node, const Sandbox::Record& record) {
  const auto& config = record.config();
  network::PodNetwork pod;
  pod.sandbox_id = record.id();
  pod.netns_path = Paths(node.config.storage.run).Pin(record.id(), "net");
  pod.name = config.metadata().name();
  pod.name_space = config.metadata().namespace_();
  pod.uid = config.metadata().uid();
  pod.cgroup_path = record.cgroup();
  for (const auto& port : config.port_mappings()) {
    if (port.host_port() > 0) {
      pod.port_mappings.push_back({.host_port = port.host_port(),
                                   .container_port = port.container_port(),
                                   .protocol = Lower(runtime::v1::Protocol_Name(port.protocol())),
                                   .host_ip = port.host_ip()});
    }
  }
  pod.annotations.insert(config.annotations().begin(), config.annotations().end());
  const auto& dns = config.dns_config();
  pod.dns_servers.assign(dns.servers().begin(), dns.servers().end());
  pod.dns_searches.assign(dns.searches().begin(), dns.searches().end());
  pod.dns_options.assign(dns.options().begin(), dns.options().end());
  AddChosen(node, record, pod);
  return pod;
}

std::vector<network::PublishedPod> PodsWithOwnHostPorts(const Node& node) {
  std::vector<network::PublishedPod> pods;
  for (const auto& sandbox : node.sandboxes.List()) {
    const auto record = sandbox->record();
    if (!record->own_host_ports() || record->state() != davit::state::v1::SANDBOX_READY) {
      continue;
    }
    if (auto pod = ToPublishedPod(node, *record); pod.ok()) {
      pods.push_back(*std::move(pod));
    } else {
      log::IfError(pod.status(), "publish the host ports of sandbox " + ShortId(sandbox->id()));
    }
  }
  return pods;
}

absl::Status AttachNetwork(Node& node, Context& ctx, Sandbox& sandbox) {
  RETURN_IF_ERROR(Update(node, sandbox, [](auto& next) { next.set_network_attached(true); }));
  const network::PodNetwork pod = ToPodNetwork(node, *sandbox.record());
  auto result = node.cni.Add(ctx, pod);
  if (!result.ok()) {
    return Annotate(result.status(), "set up the network of sandbox " + ShortId(sandbox.id()));
  }
  const bool own = node.host_ports != nullptr && node.config.network.host_ports == "auto" &&
                   !result->publishes_ports && !pod.port_mappings.empty();
  RETURN_IF_ERROR(Update(node, sandbox, [&](auto& next) {
    next.mutable_ips()->Assign(result->ips.begin(), result->ips.end());
    next.set_cni_result(result->json);
    next.set_own_host_ports(own);
  }));
  if (!own) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const network::PublishedPod published, ToPublishedPod(node, *sandbox.record()));
  return Annotate(node.host_ports->Publish(ctx, published),
                  "publish the host ports of sandbox " + ShortId(sandbox.id()));
}

absl::Status DetachNetwork(Node& node, Context& ctx, Sandbox& sandbox) {
  if (!sandbox.record()->network_attached()) {
    return absl::OkStatus();
  }
  // While the address is still the pod's.
  if (node.host_ports != nullptr) {
    RETURN_IF_ERROR(Annotate(node.host_ports->Withdraw(ctx, sandbox.id()),
                             "withdraw the host ports of sandbox " + ShortId(sandbox.id())));
  }
  RETURN_IF_ERROR(Annotate(node.cni.Del(ctx, ToPodNetwork(node, *sandbox.record())),
                           "take down the network of sandbox " + ShortId(sandbox.id())));
  return Update(node, sandbox, [](auto& next) { next.set_network_attached(false); });
}

}  // namespace davit::server
