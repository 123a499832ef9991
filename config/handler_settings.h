// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "config/config.h"

namespace davit::config {

// What the configuration says of a handler, by the name that records have; the defaults for one
// that it does not name (any more). Lives as long as the configuration.
inline const RuntimeHandler& HandlerSettings(const Runtime& runtime, const std::string& name) {
  static const RuntimeHandler kDefaults;
  const auto found = runtime.handlers.find(name);
  return found == runtime.handlers.end() ? kDefaults : found->second;
}

}  // namespace davit::config
