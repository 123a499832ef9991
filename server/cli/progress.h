// SPDX-License-Identifier: Apache-2.0
//
// Progress of a pull: one bar for each layer on a terminal, redrawn in place; elsewhere one line
// when a layer is done.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "server/api/davit.pb.h"

namespace davit::server::cli {

class PullProgress {
 public:
  explicit PullProgress(bool terminal) : terminal_(terminal) {}
  void Show(const davit::v1::PullImageProgress& progress);

  // One line, without its end: "a1b2c3d4e5f6 [=====>    ]  1.2 MB / 3.4 MB".
  static std::string Line(const davit::v1::LayerProgress& layer);

 private:
  const bool terminal_;
  int drawn_lines_ = 0;
  std::set<std::string> reported_;
};

}  // namespace davit::server::cli
