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
constexpr int kMostLines = 16;  // of one image

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

PullProgress::PullProgress(bool terminal, std::vector<std::string> images) : terminal_(terminal) {
  absl::MutexLock lock(&mutex_);
  for (std::string& name : images) {
    images_.push_back({.name = std::move(name), .progress = {}});
  }
}

void PullProgress::Show(size_t image, const davit::v1::PullImageProgress& progress) {
  absl::MutexLock lock(&mutex_);
  if (!terminal_) {
    Report(progress);
    return;
  }
  images_[image].progress = progress;
  Draw();
}

void PullProgress::Print(const std::string& text) {
  absl::MutexLock lock(&mutex_);
  Erase();
  fmt::print("{}", text);
  if (terminal_) {
    Draw();
  }
  std::fflush(stdout);
}

void PullProgress::Report(const davit::v1::PullImageProgress& progress) {
  for (const auto& layer : progress.layers()) {
    if (Finished(layer) && reported_.insert(layer.digest()).second) {
      fmt::print("{}\n", Line(layer));
    }
  }
  std::fflush(stdout);
}

void PullProgress::Erase() {
  if (drawn_lines_ > 0) {
    fmt::print("\x1b[{}A\x1b[J", drawn_lines_);
  }
  drawn_lines_ = 0;
}

void PullProgress::Draw() {
  Erase();
  for (const Image& image : images_) {
    const auto& layers = image.progress.layers();
    if (images_.size() > 1 && !layers.empty()) {
      fmt::print("{}\n", image.name);
      ++drawn_lines_;
    }
    // More would scroll away, and what has scrolled away cannot be redrawn.
    const bool all = layers.size() <= kMostLines;
    int finished = 0;
    for (const auto& layer : layers) {
      finished += Finished(layer) ? 1 : 0;
      if (all || layer.state() == davit::v1::LAYER_FETCHING) {
        fmt::print("{}\n", Line(layer));
        ++drawn_lines_;
      }
    }
    if (!all) {
      fmt::print("{} of {} layers done\n", finished, layers.size());
      ++drawn_lines_;
    }
  }
  std::fflush(stdout);
}

}  // namespace davit::server::cli
