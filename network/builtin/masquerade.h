// SPDX-License-Identifier: Apache-2.0
//
// What pods send out of their network leaves with an address of the node: the rules that the
// plugin makes for ipMasq, in the table nat of iptables and ip6tables. Each pod has a chain,
// CNI-<24 digits of SHA-512(network + container)>, and a rule in POSTROUTING for each address that
// leads there; all have the comment `name: "<network>" id: "<container>"`. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "base/context.h"
#include "network/builtin/ip.h"
#include "network/builtin/restore_batch.h"

namespace davit::network::builtin {

// The name of the chain of a pod.
std::string MasqueradeChain(std::string_view network, std::string_view container);

class Masquerade {
 public:
  Masquerade();

  // False if the programs for one of the families are missing.
  [[nodiscard]] bool IsPossible(bool ipv4, bool ipv6) const;

  // For the pod's addresses, with the length of their subnet.
  absl::Status Add(Context& ctx, std::string_view network, std::string_view container,
                   const std::vector<Prefix>& addresses);
  // Idempotent. Whoever does not know the addresses of a family calls Sweep.
  absl::Status Remove(Context& ctx, std::string_view network, std::string_view container,
                      const std::vector<Prefix>& addresses);
  // Removes what there is for the pod, after a look at the whole table.
  absl::Status Sweep(Context& ctx, int family, std::string_view network,
                     std::string_view container);

 private:
  RestoreBatch& Of(int family);

  RestoreBatch ipv4_;
  RestoreBatch ipv6_;
};

}  // namespace davit::network::builtin
