// SPDX-License-Identifier: Apache-2.0
#include "network/host_ports/port_table.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "network/runtime_args.h"

namespace davit::network {
namespace {

// An address in the one way of writing that all of this folder uses.
struct Ip {
  int family = 0;
  std::array<uint8_t, 16> bytes{};

  [[nodiscard]] size_t size() const { return family == AF_INET ? 4 : 16; }
  [[nodiscard]] bool unspecified() const {
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
  }
  [[nodiscard]] std::string Text() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family, bytes.data(), text.data(), text.size());
    return text.data();
  }
};

std::optional<Ip> ParseIp(const std::string& text) {
  for (const int family : {AF_INET, AF_INET6}) {
    Ip ip{.family = family};
    if (inet_pton(family, text.c_str(), ip.bytes.data()) == 1) {
      return ip;
    }
  }
  return std::nullopt;
}

struct PodAddress {
  Ip ip;
  std::string subnet;
};

std::string Subnet(Ip ip, uint64_t length) {
  for (size_t bit = length; bit < ip.size() * 8; ++bit) {
    ip.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80U >> (bit % 8)));
  }
  return fmt::format("{}/{}", ip.Text(), length);
}

absl::StatusOr<std::vector<PodAddress>> AddressesOf(const PublishedPod& pod) {
  std::vector<PodAddress> result;
  for (const std::string& address : pod.addresses) {
    const size_t slash = address.find('/');
    const std::optional<Ip> ip = ParseIp(address.substr(0, slash));
    const std::optional<uint64_t> length =
        slash == std::string::npos ? std::nullopt
                                   : ParseUint(std::string_view(address).substr(slash + 1));
    if (!ip || !length || *length > ip->size() * 8) {
      return Internal("pod {} has the invalid address \"{}\"", pod.name, Printable(address, 60));
    }
    const bool first = std::none_of(result.begin(), result.end(), [&](const PodAddress& other) {
      return other.ip.family == ip->family;
    });
    if (first) {
      result.push_back({*ip, Subnet(*ip, *length)});
    }
  }
  return result;
}

absl::Status AddMapping(const PortMapping& mapping, const std::vector<PodAddress>& addresses,
                        std::vector<HostPort>& result) {
  RETURN_IF_ERROR(CheckPort(mapping));
  const std::optional<Ip> host = ParseIp(mapping.host_ip);
  bool published = false;
  for (const PodAddress& address : addresses) {
    if (host && host->family != address.ip.family) {
      continue;
    }
    HostPort port{.family = address.ip.family,
                  .protocol = mapping.protocol,
                  .port = mapping.host_port,
                  .host_ip = host && !host->unspecified() ? host->Text() : "",
                  .pod_ip = address.ip.Text(),
                  .pod_port = mapping.container_port,
                  .pod_subnet = address.subnet};
    published = true;
    const auto same = std::find_if(result.begin(), result.end(),
                                   [&](const HostPort& other) { return Collide(port, other); });
    if (same == result.end()) {
      result.push_back(std::move(port));
    } else if (same->pod_port != port.pod_port || same->host_ip != port.host_ip) {
      return InvalidArgument("host port {} is asked for twice, for the ports {} and {}",
                             Describe(port), same->pod_port, port.pod_port);
    }
  }
  if (!published) {
    return FailedPrecondition("host port {} on {}: the pod has no address of that family",
                              mapping.host_port, mapping.host_ip);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<HostPort>> HostPortsOf(const PublishedPod& pod) {
  ASSIGN_OR_RETURN(const std::vector<PodAddress> addresses, AddressesOf(pod));
  std::vector<HostPort> result;
  for (const PortMapping& mapping : pod.ports) {
    if (mapping.host_port > 0) {
      RETURN_IF_ERROR(AddMapping(mapping, addresses, result));
    }
  }
  return result;
}

bool Collide(const HostPort& one, const HostPort& other) {
  return one.family == other.family && one.protocol == other.protocol && one.port == other.port &&
         (one.host_ip.empty() || other.host_ip.empty() || one.host_ip == other.host_ip);
}

std::string Describe(const HostPort& port) {
  const std::string ip = port.host_ip.empty()      ? "*"
                         : port.family == AF_INET6 ? "[" + port.host_ip + "]"
                                                   : port.host_ip;
  return fmt::format("{}:{}/{}", ip, port.port, port.protocol);
}

}  // namespace davit::network
