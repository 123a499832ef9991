// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/sandbox_network.h"

#include "base/id.h"
#include "base/status.h"
#include "base/text.h"
#include "server/paths.h"
#include "server/sandbox/pod_config.h"
#include "server/update.h"

namespace davit::server {

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
  return pod;
}

absl::Status AttachNetwork(Node& node, Context& ctx, Sandbox& sandbox) {
  RETURN_IF_ERROR(Update(node, sandbox, [](auto& next) { next.set_network_attached(true); }));
  auto result = node.cni.Add(ctx, ToPodNetwork(node, *sandbox.record()));
  if (!result.ok()) {
    return Annotate(result.status(), "set up the network of sandbox " + ShortId(sandbox.id()));
  }
  return Update(node, sandbox, [&result](auto& next) {
    next.mutable_ips()->Assign(result->ips.begin(), result->ips.end());
    next.set_cni_result(result->json);
  });
}

absl::Status DetachNetwork(Node& node, Context& ctx, Sandbox& sandbox) {
  if (!sandbox.record()->network_attached()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Annotate(node.cni.Del(ctx, ToPodNetwork(node, *sandbox.record())),
                           "take down the network of sandbox " + ShortId(sandbox.id())));
  return Update(node, sandbox, [](auto& next) { next.set_network_attached(false); });
}

}  // namespace davit::server
