// SPDX-License-Identifier: Apache-2.0
//
// The dictionary of SPDY/3's header compression (section 2.6.10.1), 1423 bytes.
#pragma once

#include <string>

namespace davit::server::streaming::spdy {

const std::string& Dictionary();

}  // namespace davit::server::streaming::spdy
