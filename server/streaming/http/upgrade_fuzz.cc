// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string_view>

#include "server/streaming/http/upgrade.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace http = davit::server::streaming::http;
  const auto request = http::ParseRequest({reinterpret_cast<const char*>(data), size});
  if (request.ok()) {
    (void)http::UpgradeForCommand(*request);
    (void)http::UpgradeForPorts(*request);
  }
  return 0;
}
