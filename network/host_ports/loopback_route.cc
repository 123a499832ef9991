// SPDX-License-Identifier: Apache-2.0
#include "network/host_ports/loopback_route.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>

#include "absl/status/statusor.h"
#include <libmnl/libmnl.h>

#include "base/file.h"
#include "base/status.h"
#include "network/netlink.h"

namespace davit::network {
namespace {

// The kernel's answer to "where would this go?".
absl::StatusOr<std::string> InterfaceTo(const std::string& ip) {
  in_addr address{};
  if (inet_pton(AF_INET, ip.c_str(), &address) != 1) {
    return InvalidArgument("\"{}\" is no IPv4 address", ip);
  }
  unsigned index = 0;
  RETURN_IF_ERROR(AskNetlink(
      {.bus = NETLINK_ROUTE,
       .type = RTM_GETROUTE,
       .flags = 0,
       .build =
           [&address](nlmsghdr* header) {
             auto* const route =
                 static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(rtmsg)));
             route->rtm_family = AF_INET;
             route->rtm_dst_len = 32;
             mnl_attr_put_u32(header, RTA_DST, address.s_addr);
           }},
      [&index](const nlmsghdr* reply) { index = NumberIn(reply, sizeof(rtmsg), RTA_OIF); }));
  std::array<char, IF_NAMESIZE> name{};
  if (index == 0 || if_indextoname(index, name.data()) == nullptr) {
    return NotFound("no interface leads to {}", ip);
  }
  return std::string(name.data());
}

}  // namespace

absl::Status RouteLoopbackTo(const std::string& pod_ip) {
  ASSIGN_OR_RETURN(const std::string interface, InterfaceTo(pod_ip));
  const std::string file = "/proc/sys/net/ipv4/conf/" + interface + "/route_localnet";
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(file, O_WRONLY));
  return WriteFd(fd.get(), "1", file);
}

}  // namespace davit::network
