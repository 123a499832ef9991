// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/reference.h"
#include "image/registries/hosts_toml.h"

// What is accepted can stand in a URL and in a request's header.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto hosts = davit::image::ParseHostsToml({reinterpret_cast<const char*>(data), size},
                                                  "hosts.toml", "/nowhere");
  if (!hosts.ok()) {
    return 0;
  }
  for (const auto& host : hosts->mirrors) {
    if (!davit::image::IsDomain(host.host)) {
      std::abort();
    }
    for (const std::string& header : host.headers) {
      if (header.find_first_of("\r\n") != std::string::npos) {
        std::abort();
      }
    }
  }
  return 0;
}
