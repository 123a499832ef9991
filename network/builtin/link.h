// SPDX-License-Identifier: Apache-2.0
//
// Network interfaces over rtnetlink, in the network namespace of the calling thread. Every error
// names the interface. Holds no state.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace davit::network::builtin {

using Mac = std::array<uint8_t, 6>;

struct Link {
  std::string name;
  int index = 0;
  std::string kind;  // "bridge", "veth"
  Mac mac = {};
  bool is_up = false;
  bool is_running = false;  // up, and so is what it is connected to
};

// "02:00:5e:00:53:01"
std::string ToText(const Mac& mac);

// NotFound if there is none of that name.
absl::StatusOr<Link> FindLink(const std::string& name);

// AlreadyExists if there is an interface of that name. `mtu` 0 is the kernel's.
absl::Status CreateBridge(const std::string& name, int mtu);

struct VethPair {
  std::string name;  // here, a port of the bridge `bridge_index`
  int bridge_index = 0;
  std::string peer_name;
  int peer_netns_fd = -1;  // where the other end is born
  int mtu = 0;             // of both; 0: the kernel's
};
// Both ends or none. AlreadyExists if one of the names is taken.
absl::Status CreateVeth(const VethPair& pair);

absl::Status SetUp(const Link& link);
// The same for a port of a bridge, told first whether it may send back where a frame came from.
absl::Status SetPortUp(const Link& port, bool hairpin);
// Sets what it has already: a bridge keeps an address that was set, else it takes that of a port.
absl::Status SetMac(const Link& link);

// With its other end. A missing one is success.
absl::Status DeleteLink(const std::string& name);

}  // namespace davit::network::builtin
