// SPDX-License-Identifier: Apache-2.0
#include "server/cli/progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "base/time.h"

namespace davit::server::cli {
namespace {

constexpr size_t kBarWidth = 32;
constexpr size_t kDigestDigits = 12;

std::string ShortDigest(const std::string& digest) {
  const size_t colon = digest.find(':');
  return digest.substr(colon == std::string::npos ? 0 : colon + 1, kDigestDigits);
}

bool Finished(const davit::v1::LayerProgress& layer) {
  return layer.state() == davit::v1::LAYER_DONE || layer.state() == davit::v1::LAYER_PRESENT;
}

std::string Bar(double share) {
  const auto filled = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * kBarWidth);
  std::string bar(filled, '=');
  if (filled < kBarWidth) {
    bar += '>';
  }
  bar.resize(kBarWidth, ' ');
  return bar;
}

}  // namespace

std::string PullProgress::Line(const davit::v1::LayerProgress& layer) {
  const std::string name = ShortDigest(layer.digest());
  const std::string total = layer.total_bytes() == 0 ? "?" : HumanBytes(layer.total_bytes());
  switch (layer.state()) {
    case davit::v1::LAYER_PRESENT:
      return fmt::format("{} already here", name);
    case davit::v1::LAYER_DONE:
      return fmt::format("{} [{}] {} done", name, Bar(1), total);
    case davit::v1::LAYER_FETCHING: {
      const double share = layer.total_bytes() == 0 ? 0
                                                    : static_cast<double>(layer.done_bytes()) /
                                                          static_cast<double>(layer.total_bytes());
      return fmt::format("{} [{}] {} / {}", name, Bar(share), HumanBytes(layer.done_bytes()),
                         total);
    }
    default:
      return fmt::format("{} waiting", name);
  }
}

void PullProgress::Show(const davit::v1::PullImageProgress& progress) {
  if (!terminal_) {
    for (const auto& layer : progress.layers()) {
      if (Finished(layer) && reported_.insert(layer.digest()).second) {
        fmt::print("{}\n", Line(layer));
      }
    }
    std::fflush(stdout);
    return;
  }
  if (drawn_lines_ > 0) {
    fmt::print("\x1b[{}A", drawn_lines_);
  }
  for (const auto& layer : progress.layers()) {
    fmt::print("\x1b[2K{}\n", Line(layer));
  }
  drawn_lines_ = progress.layers_size();
  std::fflush(stdout);
}

}  // namespace davit::server::cli
