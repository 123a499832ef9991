// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace davit::image {

// Without the port and the brackets of IPv6, in lower case.
[[nodiscard]] std::string BareHost(std::string_view host);

// "localhost", 127.0.0.0/8 or ::1, with or without a port.
[[nodiscard]] bool IsLoopback(std::string_view host);

}  // namespace davit::image
