// SPDX-License-Identifier: Apache-2.0
#include "network/host_ports/udp_flows.h"

#include <arpa/inet.h>
#include <ifaddrs.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include "base/status.h"

namespace davit::network {
namespace {

using Handle = std::unique_ptr<nfct_handle, int (*)(nfct_handle*)>;
using Flow = std::unique_ptr<nf_conntrack, void (*)(nf_conntrack*)>;
using Wanted = std::function<bool(const nf_conntrack*)>;

struct Collector {
  const Wanted& wanted;
  std::vector<Flow> flows{};
};

int Collect(nf_conntrack_msg_type /*type*/, nf_conntrack* flow, void* data) {
  auto& collector = *static_cast<Collector*>(data);
  if (collector.wanted(flow)) {
    collector.flows.emplace_back(nfct_clone(flow), nfct_destroy);
  }
  return NFCT_CB_CONTINUE;
}

std::string IpText(const nf_conntrack* flow, int family, nf_conntrack_attr four,
                   nf_conntrack_attr six) {
  const void* const bytes = nfct_get_attr(flow, family == AF_INET ? four : six);
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (bytes != nullptr) {
    inet_ntop(family, bytes, text.data(), text.size());
  }
  return text.data();
}

std::string Asked(const nf_conntrack* flow, int family) {
  return IpText(flow, family, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST);
}

std::string Answering(const nf_conntrack* flow, int family) {
  return IpText(flow, family, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC);
}

// The kernel may end a flow on its own meanwhile.
absl::Status Forget(int family, const Wanted& wanted) {
  const Handle handle(nfct_open(CONNTRACK, 0), nfct_close);
  if (!handle) {
    return ErrnoStatus(errno, "open connection tracking");
  }
  Collector collector{wanted};
  nfct_callback_register(handle.get(), NFCT_T_ALL, Collect, &collector);
  auto dumped = static_cast<uint32_t>(family);
  if (nfct_query(handle.get(), NFCT_Q_DUMP, &dumped) != 0) {
    return ErrnoStatus(errno, "list tracked connections");
  }
  nfct_callback_unregister(handle.get());
  for (const Flow& flow : collector.flows) {
    if (nfct_query(handle.get(), NFCT_Q_DESTROY, flow.get()) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, "forget a tracked UDP conversation");
    }
  }
  return absl::OkStatus();
}

std::set<std::string> OwnAddresses() {
  std::set<std::string> result;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    return result;
  }
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) {
      continue;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = each->ifa_addr->sa_family;
    if (family == AF_INET) {
      const auto* const four = reinterpret_cast<const sockaddr_in*>(each->ifa_addr);
      result.insert(inet_ntop(family, &four->sin_addr, text.data(), text.size()));
    } else if (family == AF_INET6) {
      const auto* const six = reinterpret_cast<const sockaddr_in6*>(each->ifa_addr);
      result.insert(inet_ntop(family, &six->sin6_addr, text.data(), text.size()));
    }
  }
  freeifaddrs(list);
  return result;
}

absl::Status ForgetAt(const std::vector<HostPort>& ports,
                      const std::function<bool(const nf_conntrack*, const HostPort&)>& matches) {
  absl::Status first;
  for (const int family : {AF_INET, AF_INET6}) {
    std::vector<HostPort> udp;
    for (const HostPort& port : ports) {
      if (port.family == family && port.protocol == "udp") {
        udp.push_back(port);
      }
    }
    if (udp.empty()) {
      continue;
    }
    first.Update(Forget(family, [&](const nf_conntrack* flow) {
      if (nfct_get_attr_u8(flow, ATTR_ORIG_L4PROTO) != IPPROTO_UDP) {
        return false;
      }
      const int asked = ntohs(nfct_get_attr_u16(flow, ATTR_ORIG_PORT_DST));
      for (const HostPort& port : udp) {
        if (port.port == asked && matches(flow, port)) {
          return true;
        }
      }
      return false;
    }));
  }
  return first;
}

}  // namespace

absl::Status ForgetUnpublished(const std::vector<HostPort>& ports) {
  const std::set<std::string> own = OwnAddresses();
  return ForgetAt(ports, [&own](const nf_conntrack* flow, const HostPort& port) {
    const std::string asked = Asked(flow, port.family);
    const bool here = port.host_ip.empty() ? own.contains(asked) || asked.starts_with("127.")
                                           : asked == port.host_ip;
    return here && Answering(flow, port.family) != port.pod_ip;
  });
}

absl::Status ForgetPublished(const std::vector<HostPort>& ports) {
  return ForgetAt(ports, [](const nf_conntrack* flow, const HostPort& port) {
    return Answering(flow, port.family) == port.pod_ip;
  });
}

}  // namespace davit::network
