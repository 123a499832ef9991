// SPDX-License-Identifier: Apache-2.0
#include "image/loopback.h"

#include <arpa/inet.h>

#include "base/text.h"

namespace davit::image {

std::string BareHost(std::string_view host) {
  if (host.starts_with('[')) {
    const size_t close = host.find(']');
    return Lower(host.substr(1, close == std::string_view::npos ? close : close - 1));
  }
  return Lower(host.substr(0, host.find(':')));
}

bool IsLoopback(std::string_view host) {
  const std::string bare = BareHost(host);
  if (bare == "localhost") {
    return true;
  }
  in_addr v4 = {};
  if (inet_pton(AF_INET, bare.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24U) == 127;
  }
  in6_addr v6 = {};
  return inet_pton(AF_INET6, bare.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace davit::image
