// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <thread>

#include <libmnl/libmnl.h>

#include "base/status.h"
#include "network/netlink.h"

namespace davit::network::builtin {
namespace {

constexpr std::chrono::milliseconds kSettlePause{2};
constexpr std::chrono::seconds kSettleTimeout{10};

void PutIp(nlmsghdr* header, uint16_t type, const Ip& ip) {
  mnl_attr_put(header, type, ip.size(), ip.bytes.data());
}

void PutAddress(nlmsghdr* header, const Link& link, const Prefix& address) {
  auto* const info = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifaddrmsg)));
  info->ifa_family = static_cast<uint8_t>(address.ip.family);
  info->ifa_prefixlen = static_cast<uint8_t>(address.length);
  info->ifa_index = static_cast<uint32_t>(link.index);
  PutIp(header, IFA_LOCAL, address.ip);
  PutIp(header, IFA_ADDRESS, address.ip);
  if (address.ip.family == AF_INET) {
    PutIp(header, IFA_BROADCAST, LastOf(address));
  }
}

struct Seen {
  Ip ip;
  bool has_local = false;
};

int ReadIp(const nlattr* attribute, void* data) {
  auto& seen = *static_cast<Seen*>(data);
  const auto type = mnl_attr_get_type(attribute);
  // IFA_ADDRESS is the far end's where the interface has one; IFA_LOCAL is missing in IPv6.
  if ((type == IFA_LOCAL || (type == IFA_ADDRESS && !seen.has_local)) &&
      mnl_attr_get_payload_len(attribute) == seen.ip.size()) {
    std::memcpy(seen.ip.bytes.data(), mnl_attr_get_payload(attribute), seen.ip.size());
    seen.has_local = seen.has_local || type == IFA_LOCAL;
  }
  return MNL_CB_OK;
}

using OnAddress = std::function<void(const ifaddrmsg&, const nlmsghdr*)>;

// Of the interface, among all that the kernel has.
absl::Status ForEachAddress(const Link& link, int family, const OnAddress& each) {
  return Annotate(
      AskNetlink(
          {.bus = NETLINK_ROUTE,
           .type = RTM_GETADDR,
           .flags = NLM_F_DUMP,
           .build =
               [&](nlmsghdr* header) {
                 auto* const info =
                     static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifaddrmsg)));
                 info->ifa_family = static_cast<uint8_t>(family);
               }},
          [&](const nlmsghdr* reply) {
            const auto& info = *static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(reply));
            if (info.ifa_index == static_cast<uint32_t>(link.index) && info.ifa_family == family) {
              each(info, reply);
            }
          }),
      "list the addresses of " + link.name);
}

}  // namespace

absl::Status AddAddress(const Link& link, const Prefix& address) {
  return Annotate(ChangeByRoute(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                                [&](nlmsghdr* header) { PutAddress(header, link, address); }),
                  fmt::format("add {} to {}", ToText(address), link.name));
}

absl::Status DeleteAddress(const Link& link, const Prefix& address) {
  return Annotate(ChangeByRoute(RTM_DELADDR, NLM_F_ACK,
                                [&](nlmsghdr* header) { PutAddress(header, link, address); }),
                  fmt::format("delete {} from {}", ToText(address), link.name));
}

absl::StatusOr<std::vector<Prefix>> AddressesOf(const Link& link, int family) {
  std::vector<Prefix> result;
  RETURN_IF_ERROR(ForEachAddress(link, family, [&](const ifaddrmsg& info, const nlmsghdr* message) {
    Seen seen;
    seen.ip.family = family;
    mnl_attr_parse(message, sizeof(ifaddrmsg), ReadIp, &seen);
    result.push_back({seen.ip, info.ifa_prefixlen});
  }));
  return result;
}

bool HasAddress6(const Link& link, const Prefix& address) {
  bool found = false;
  const absl::Status status =
      AskNetlink({.bus = NETLINK_ROUTE,
                  .type = RTM_GETADDR,
                  .flags = 0,
                  .build = [&](nlmsghdr* header) { PutAddress(header, link, address); }},
                 [&](const nlmsghdr* reply) {
                   const auto& info = *static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(reply));
                   found = info.ifa_index == static_cast<uint32_t>(link.index) &&
                           info.ifa_prefixlen == address.length;
                 });
  return status.ok() && found;
}

absl::Status WaitForAddresses6(Context& ctx, const Link& link) {
  Context limited(ctx, kSettleTimeout);
  while (true) {
    bool waiting = false;
    bool failed = false;
    RETURN_IF_ERROR(ForEachAddress(link, AF_INET6, [&](const ifaddrmsg& info, const nlmsghdr*) {
      failed = failed || (info.ifa_flags & IFA_F_DADFAILED) != 0;
      waiting = waiting || (info.ifa_flags & IFA_F_TENTATIVE) != 0;
    }));
    if (failed) {
      return AlreadyExists("somebody else has an IPv6 address of {}", link.name);
    }
    if (!waiting) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Annotate(limited.Check(), "wait for the IPv6 addresses of " + link.name));
    std::this_thread::sleep_for(kSettlePause);
  }
}

absl::Status AddRoute(const Link& link, const Prefix& to, const std::optional<Ip>& via) {
  return Annotate(
      ChangeByRoute(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE,
                    [&](nlmsghdr* header) {
                      auto* const info =
                          static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(rtmsg)));
                      info->rtm_family = static_cast<uint8_t>(to.ip.family);
                      info->rtm_dst_len = static_cast<uint8_t>(to.length);
                      info->rtm_table = RT_TABLE_MAIN;
                      info->rtm_protocol = RTPROT_BOOT;
                      info->rtm_scope = RT_SCOPE_UNIVERSE;
                      info->rtm_type = RTN_UNICAST;
                      PutIp(header, RTA_DST, to.ip);
                      if (via) {
                        PutIp(header, RTA_GATEWAY, *via);
                      }
                      mnl_attr_put_u32(header, RTA_OIF, static_cast<uint32_t>(link.index));
                    }),
      fmt::format("add the route to {}{}", ToText(to), via ? " by " + ToText(*via) : ""));
}

}  // namespace davit::network::builtin
