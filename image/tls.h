// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

namespace davit::image {

// How the TLS of one host differs from the system's. All PEM; "": nothing. Immutable.
struct Tls {
  std::string ca;    // accepted besides the system's
  std::string cert;  // shown to the server, with its chain
  std::string key;   // of `cert`
  bool skip_verify = false;

  bool operator==(const Tls&) const = default;
};
using TlsPtr = std::shared_ptr<const Tls>;  // null: the system's

}  // namespace davit::image
