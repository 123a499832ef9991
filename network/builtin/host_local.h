// SPDX-License-Identifier: Apache-2.0
//
// Addresses of a network in the directory of the plugin host-local, by its rules, so that it and
// this can take turns at will: <data_dir>/<network>/ has one file for each address given out, named
// by it, "<container>\r\n<interface>" in it; last_reserved_ip.<n>, the address given out last of
// the range set n; and lock, which is held by flock(2) for each change. As there, nothing is
// synced: a power loss takes the pods as well.
//
// Unlike the plugin this does not read all files at each ADD to refuse a container that has an
// address: the caller detaches first what a container may have left. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "network/builtin/range.h"

namespace davit::network::builtin {

// What the pod's interface gets: the address with the length of its subnet, and the gateway there.
struct Lease {
  Prefix address;
  Ip gateway;
};

class HostLocal {
 public:
  HostLocal(const std::string& data_dir, const std::string& network);

  // One address of each set, none if one set has no free one (the message is the plugin's).
  absl::StatusOr<std::vector<Lease>> Reserve(Context& ctx, const std::vector<RangeSet>& sets,
                                             std::string_view container) const;
  // Gives back what the container has. `known` are its addresses, where known: then no other file
  // is looked at. Idempotent.
  absl::Status Release(Context& ctx, std::string_view container,
                       const std::vector<Prefix>& known) const;

 private:
  [[nodiscard]] absl::StatusOr<Lease> ReserveOne(const RangeSet& set, size_t number,
                                                 std::string_view content) const;
  [[nodiscard]] absl::Status ReleaseAll(std::string_view content) const;

  const std::string dir_;
};

}  // namespace davit::network::builtin
