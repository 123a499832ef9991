// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace davit::server::streaming {

// How long a client may take; tests have less patience.
struct Limits {
  // From the connection to the end of the request, TLS included; also to take an answer that
  // refuses it.
  std::chrono::milliseconds request{10'000};
  // From the upgrade to the last stream of an exec; to the second stream of a forwarded connection.
  std::chrono::milliseconds streams{30'000};
};

}  // namespace davit::server::streaming
