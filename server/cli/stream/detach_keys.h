// SPDX-License-Identifier: Apache-2.0
//
// The keys that end `davit attach` and leave the container alone: "ctrl-p,ctrl-q" unless said
// otherwise. Pure functions of what is typed.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace davit::server::cli {

class DetachKeys {
 public:
  // Keys with commas between them: "ctrl-" and a letter or one of @[\]^_, or any one character. "":
  // there are none.
  static absl::StatusOr<DetachKeys> Parse(const std::string& text);

  struct Typed {
    std::string bytes;  // for the container
    bool detach = false;
  };
  // What was typed so far may be the beginning of the keys: it is held back until that is known.
  Typed Add(std::string_view bytes);

 private:
  std::string keys_;
  size_t matched_ = 0;
};

}  // namespace davit::server::cli
