// SPDX-License-Identifier: Apache-2.0
//
// Proxies by the usual variables: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, in either case; ALL_PROXY for
// what neither names. What NO_PROXY may hold is libcurl's matter: names, domains, addresses, CIDR.
#pragma once

#include <string>

namespace davit::image {

struct Proxies {
  std::string http;   // for http URLs; "": none
  std::string https;  // for https URLs
  std::string none;   // hosts that are asked directly

  // As the process was started with.
  static Proxies OfEnvironment();
  // `lookup` is a getenv(3).
  static Proxies From(const char* (*lookup)(const char* name));
};

}  // namespace davit::image
