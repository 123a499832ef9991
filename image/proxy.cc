// SPDX-License-Identifier: Apache-2.0
#include "image/proxy.h"

#include <cstdlib>
#include <initializer_list>

namespace davit::image {
namespace {

const char* Environment(const char* name) {
  return std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
}

}  // namespace

Proxies Proxies::From(const char* (*lookup)(const char* name)) {
  const auto first = [lookup](std::initializer_list<const char*> names) {
    for (const char* name : names) {
      const char* const value = lookup(name);
      if (value != nullptr && *value != '\0') {
        return std::string(value);
      }
    }
    return std::string();
  };
  return {.http = first({"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"}),
          .https = first({"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"}),
          .none = first({"NO_PROXY", "no_proxy"})};
}

Proxies Proxies::OfEnvironment() {
  return From(&Environment);
}

}  // namespace davit::image
