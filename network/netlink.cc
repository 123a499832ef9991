// SPDX-License-Identifier: Apache-2.0
#include "network/netlink.h"

#include <array>
#include <cerrno>
#include <memory>

#include <libmnl/libmnl.h>

#include "base/status.h"

namespace davit::network {
namespace {

using Socket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;

constexpr unsigned kSequence = 1;
constexpr size_t kBufferBytes = 16384;

int Deliver(const nlmsghdr* message, void* data) {
  (*static_cast<const std::function<void(const nlmsghdr*)>*>(data))(message);
  return MNL_CB_OK;
}

absl::Status Receive(mnl_socket* socket, bool dump,
                     const std::function<void(const nlmsghdr*)>& on_reply) {
  std::array<char, kBufferBytes> buffer{};
  const unsigned port = mnl_socket_get_portid(socket);
  auto* const data = const_cast<std::function<void(const nlmsghdr*)>*>(&on_reply);
  while (true) {
    const ssize_t got = mnl_socket_recvfrom(socket, buffer.data(), buffer.size());
    if (got < 0) {
      return ErrnoStatus(errno, "receive from netlink");
    }
    const int more =
        mnl_cb_run(buffer.data(), static_cast<size_t>(got), kSequence, port, Deliver, data);
    if (more < 0) {
      return ErrnoStatus(errno, "ask the kernel over netlink");
    }
    if (more == MNL_CB_STOP || !dump) {
      return absl::OkStatus();
    }
  }
}

struct Search {
  uint16_t type;
  uint32_t found = 0;
};

int Compare(const nlattr* attribute, void* data) {
  auto& search = *static_cast<Search*>(data);
  if (mnl_attr_get_type(attribute) == search.type &&
      mnl_attr_get_payload_len(attribute) == sizeof(uint32_t)) {
    search.found = mnl_attr_get_u32(attribute);
  }
  return MNL_CB_OK;
}

}  // namespace

uint32_t NumberIn(const nlmsghdr* message, size_t offset, uint16_t type) {
  Search search{.type = type};
  mnl_attr_parse(message, static_cast<unsigned>(offset), Compare, &search);
  return search.found;
}

absl::Status AskNetlink(const NetlinkRequest& request,
                        const std::function<void(const nlmsghdr*)>& on_reply) {
  const Socket socket(mnl_socket_open2(request.bus, SOCK_CLOEXEC), mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    const int error = errno;
    const absl::Status status = ErrnoStatus(error, "open a netlink socket");
    return error == EPROTONOSUPPORT ? WithCode(absl::StatusCode::kUnimplemented, status) : status;
  }
  std::array<char, 1024> buffer{};
  nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = request.type;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | request.flags);
  header->nlmsg_seq = kSequence;
  request.build(header);
  if (mnl_socket_sendto(socket.get(), header, header->nlmsg_len) < 0) {
    return ErrnoStatus(errno, "send to netlink");
  }
  return Receive(socket.get(), (request.flags & NLM_F_DUMP) == NLM_F_DUMP, on_reply);
}

absl::Status ChangeByRoute(uint16_t type, uint16_t flags,
                           const std::function<void(nlmsghdr*)>& build) {
  return AskNetlink({.bus = NETLINK_ROUTE, .type = type, .flags = flags, .build = build},
                    [](const nlmsghdr*) {});
}

}  // namespace davit::network
