// SPDX-License-Identifier: Apache-2.0
//
// Which port of the node leads to which pod: mappings made concrete (one for each family of
// addresses that the pod has), and the check that no two pods want the same. Plain values; the
// kernel is elsewhere.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "network/cni.h"

namespace davit::network {

// A pod whose host ports Davit publishes itself.
struct PublishedPod {
  std::string id;
  std::string name;                    // "default/web", for messages
  std::vector<PortMapping> ports;      // one without a host port is only information
  std::vector<std::string> addresses;  // "10.1.2.3/16": of the pod's interface, in order
};

struct HostPort {
  int family = 0;          // AF_INET, AF_INET6
  std::string protocol{};  // "tcp" "udp" "sctp"
  int port = 0;
  std::string host_ip{};  // "": every address of the node
  std::string pod_ip{};
  int pod_port = 0;
  std::string pod_subnet{};  // "10.1.0.0/16": the pod's neighbours

  bool operator==(const HostPort&) const = default;
};

// The first address of each family counts; 0.0.0.0 means all addresses of IPv4, :: all of IPv6, and
// nothing those of both. InvalidArgument names a mapping that is wrong; FailedPrecondition one
// whose host address is of a family that the pod has no address of.
absl::StatusOr<std::vector<HostPort>> HostPortsOf(const PublishedPod& pod);

// Whether both cannot be at once: same family, protocol and port, and one address or any.
[[nodiscard]] bool Collide(const HostPort& one, const HostPort& other);

// "127.0.0.1:8080/tcp", "*:53/udp", "[::1]:8080/tcp"
[[nodiscard]] std::string Describe(const HostPort& port);

}  // namespace davit::network
