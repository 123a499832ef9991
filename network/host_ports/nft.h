// SPDX-License-Identifier: Apache-2.0
//
// The kernel's nftables: changed and listed by nft(8), a child process, asked by netlink whether
// anything has changed. In the network namespace of the calling thread. Thread-safe.
//
// A child and not libnftables: that library ends its process where it meets what it cannot decode
// (rules of a newer version, say), and keeps a parser in the daemon's memory for a thing that few
// pods need.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"

namespace davit::network::nft {

// FailedPrecondition where the kernel has no nftables. Cheap.
absl::Status CheckKernel();

// One transaction. FailedPrecondition if the kernel has no nftables or nft is not installed;
// Internal has what it complained of.
absl::Status Apply(Context& ctx, const std::string& script);
// JSON. NotFound if there is no such table.
absl::StatusOr<std::string> ListTable(Context& ctx, const std::string& name);

// Cheap: some microseconds, no process.
[[nodiscard]] absl::StatusOr<bool> TableExists(const std::string& name);
// Another after each change of any table in the namespace.
[[nodiscard]] absl::StatusOr<uint32_t> Generation();

}  // namespace davit::network::nft
