// SPDX-License-Identifier: Apache-2.0
//
// Progress of pulls: one bar for each layer on a terminal, redrawn in place, of several images one
// below the other; elsewhere one line when a layer is done. Thread-safe.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "server/api/davit.pb.h"

namespace davit::server::cli {

class PullProgress {
 public:
  // `images` in the order in which they are shown; their names only if there are several.
  PullProgress(bool terminal, std::vector<std::string> images);
  void Show(size_t image, const davit::v1::PullImageProgress& progress);
  // Prints below the bars; on a terminal they come again after it.
  void Print(const std::string& text);

  // One line, without its end: "a1b2c3d4e5f6 [=====>    ]  1.2 MB / 3.4 MB".
  static std::string Line(const davit::v1::LayerProgress& layer);

 private:
  struct Image {
    std::string name;
    davit::v1::PullImageProgress progress;
  };
  void Draw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Erase() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Report(const davit::v1::PullImageProgress& progress) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const bool terminal_;
  absl::Mutex mutex_;
  std::vector<Image> images_ ABSL_GUARDED_BY(mutex_);
  int drawn_lines_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<std::string> reported_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::server::cli
