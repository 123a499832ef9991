// SPDX-License-Identifier: Apache-2.0
//
// Which annotations of pods and containers the daemon acts on.
#pragma once

#include <string>
#include <vector>

namespace davit::server::spec {

// Devices of the node: HOST[:CONTAINER][:rwm], comma-separated.
inline constexpr char kDevicesAnnotation[] = "davit.io/devices";
// `allowed` is allowed_annotations of a runtime handler: names, or beginnings of names with "*".
[[nodiscard]] bool IsAllowed(const std::vector<std::string>& allowed, const std::string& key);

}  // namespace davit::server::spec
