// SPDX-License-Identifier: Apache-2.0
//
// What comes on the resize stream: JSON objects {"Width":80,"Height":24}, one after the other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/streaming/request.h"

namespace davit::server::streaming {

class TerminalSizes {
 public:
  // The sizes that are complete now. What is no size is skipped, without an error: it is not worth
  // a session.
  std::vector<TerminalSize> Add(std::string_view bytes);

 private:
  std::string pending_;
};

}  // namespace davit::server::streaming
