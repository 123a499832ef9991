// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/link.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <cstring>
#include <functional>

#include <libmnl/libmnl.h>

#include "base/status.h"
#include "network/netlink.h"

namespace davit::network::builtin {
namespace {

constexpr uint16_t kCreate = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
// The kernel's number for an operational state "up" (RFC 2863; include/uapi/linux/if.h).
constexpr uint8_t kOperUp = 6;

ifinfomsg* PutHeader(nlmsghdr* header, int index = 0) {
  auto* const info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg)));
  info->ifi_family = AF_UNSPEC;
  info->ifi_index = index;
  return info;
}

void PutMtu(nlmsghdr* header, int mtu) {
  if (mtu != 0) {
    mnl_attr_put_u32(header, IFLA_MTU, static_cast<uint32_t>(mtu));
  }
}

int ReadKind(const nlattr* attribute, void* data) {
  if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) {
    static_cast<Link*>(data)->kind = mnl_attr_get_str(attribute);
  }
  return MNL_CB_OK;
}

int ReadAttribute(const nlattr* attribute, void* data) {
  auto& link = *static_cast<Link*>(data);
  const size_t size = mnl_attr_get_payload_len(attribute);
  switch (mnl_attr_get_type(attribute)) {
    case IFLA_ADDRESS:
      if (size == link.mac.size()) {
        std::memcpy(link.mac.data(), mnl_attr_get_payload(attribute), size);
      }
      break;
    case IFLA_OPERSTATE:
      link.is_running = size == 1 && mnl_attr_get_u8(attribute) == kOperUp;
      break;
    case IFLA_LINKINFO:
      mnl_attr_parse_nested(attribute, ReadKind, data);
      break;
    default:
      break;
  }
  return MNL_CB_OK;
}

// What both ends of a pair are told. Like the plugin's they have no queue of packets.
void PutEnd(nlmsghdr* header, const std::string& name, int mtu) {
  mnl_attr_put_strz(header, IFLA_IFNAME, name.c_str());
  mnl_attr_put_u32(header, IFLA_TXQLEN, 0);
  PutMtu(header, mtu);
}

void PutPair(nlmsghdr* header, const VethPair& pair) {
  PutHeader(header);
  PutEnd(header, pair.name, pair.mtu);
  mnl_attr_put_u32(header, IFLA_MASTER, static_cast<uint32_t>(pair.bridge_index));
  nlattr* const info = mnl_attr_nest_start(header, IFLA_LINKINFO);
  mnl_attr_put_strz(header, IFLA_INFO_KIND, "veth");
  nlattr* const data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
  nlattr* const peer = mnl_attr_nest_start(header, VETH_INFO_PEER);
  // A header for the peer stands before its attributes.
  PutHeader(header);
  PutEnd(header, pair.peer_name, pair.mtu);
  mnl_attr_put_u32(header, IFLA_NET_NS_FD, static_cast<uint32_t>(pair.peer_netns_fd));
  mnl_attr_nest_end(header, peer);
  mnl_attr_nest_end(header, data);
  mnl_attr_nest_end(header, info);
}

}  // namespace

std::string ToText(const Mac& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3],
                     mac[4], mac[5]);
}

absl::StatusOr<Link> FindLink(const std::string& name) {
  Link link;
  link.name = name;
  const absl::Status status = AskNetlink(
      {.bus = NETLINK_ROUTE,
       .type = RTM_GETLINK,
       .flags = 0,
       .build =
           [&](nlmsghdr* header) {
             PutHeader(header);
             mnl_attr_put_strz(header, IFLA_IFNAME, name.c_str());
             mnl_attr_put_u32(header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
           }},
      [&](const nlmsghdr* reply) {
        const auto* const info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(reply));
        link.index = info->ifi_index;
        link.is_up = (info->ifi_flags & IFF_UP) != 0;
        mnl_attr_parse(reply, sizeof(ifinfomsg), ReadAttribute, &link);
      });
  if (!status.ok()) {
    return Annotate(status, "look at the interface " + name);
  }
  return link;
}

absl::Status CreateBridge(const std::string& name, int mtu) {
  return Annotate(ChangeByRoute(RTM_NEWLINK, kCreate,
                                [&](nlmsghdr* header) {
                                  PutHeader(header);
                                  mnl_attr_put_strz(header, IFLA_IFNAME, name.c_str());
                                  PutMtu(header, mtu);
                                  nlattr* const info = mnl_attr_nest_start(header, IFLA_LINKINFO);
                                  mnl_attr_put_strz(header, IFLA_INFO_KIND, "bridge");
                                  mnl_attr_nest_end(header, info);
                                }),
                  "create the bridge " + name);
}

absl::Status CreateVeth(const VethPair& pair) {
  return Annotate(
      ChangeByRoute(RTM_NEWLINK, kCreate, [&](nlmsghdr* header) { PutPair(header, pair); }),
      fmt::format("create the interfaces {} and {}", pair.name, pair.peer_name));
}

absl::Status SetUp(const Link& link) {
  return Annotate(ChangeByRoute(RTM_NEWLINK, NLM_F_ACK,
                                [&](nlmsghdr* header) {
                                  ifinfomsg* const info = PutHeader(header, link.index);
                                  info->ifi_flags = IFF_UP;
                                  info->ifi_change = IFF_UP;
                                }),
                  "set up the interface " + link.name);
}

absl::Status SetPortUp(const Link& port, bool hairpin) {
  return Annotate(ChangeByRoute(RTM_NEWLINK, NLM_F_ACK,
                                [&](nlmsghdr* header) {
                                  ifinfomsg* const flags = PutHeader(header, port.index);
                                  flags->ifi_flags = IFF_UP;
                                  flags->ifi_change = IFF_UP;
                                  if (!hairpin) {
                                    return;
                                  }
                                  nlattr* const info = mnl_attr_nest_start(header, IFLA_LINKINFO);
                                  mnl_attr_put_strz(header, IFLA_INFO_SLAVE_KIND, "bridge");
                                  nlattr* const data =
                                      mnl_attr_nest_start(header, IFLA_INFO_SLAVE_DATA);
                                  mnl_attr_put_u8(header, IFLA_BRPORT_MODE, 1);
                                  mnl_attr_nest_end(header, data);
                                  mnl_attr_nest_end(header, info);
                                }),
                  "set up the port " + port.name);
}

absl::Status SetMac(const Link& link) {
  return Annotate(ChangeByRoute(RTM_SETLINK, NLM_F_ACK,
                                [&](nlmsghdr* header) {
                                  PutHeader(header, link.index);
                                  mnl_attr_put(header, IFLA_ADDRESS, link.mac.size(),
                                               link.mac.data());
                                }),
                  "set the hardware address of " + link.name);
}

absl::Status DeleteLink(const std::string& name) {
  const absl::Status status = ChangeByRoute(RTM_DELLINK, NLM_F_ACK, [&](nlmsghdr* header) {
    PutHeader(header);
    mnl_attr_put_strz(header, IFLA_IFNAME, name.c_str());
  });
  return absl::IsNotFound(status) ? absl::OkStatus()
                                  : Annotate(status, "delete the interface " + name);
}

}  // namespace davit::network::builtin
