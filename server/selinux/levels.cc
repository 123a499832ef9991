// SPDX-License-Identifier: Apache-2.0
#include "server/selinux/levels.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::selinux {
namespace {

constexpr int kTries = 100;  // before all are looked through

std::optional<uint64_t> Category(const std::string& text) {
  return text.starts_with('c') ? ParseUint(text.substr(1)) : std::nullopt;
}

}  // namespace

Levels::Levels(std::string sensitivity, unsigned range)
    : sensitivity_(std::move(sensitivity)), range_(range) {}

std::string Levels::Text(unsigned first, unsigned second) const {
  return fmt::format("{}:c{},c{}", sensitivity_, std::min(first, second), std::max(first, second));
}

std::string Levels::Normal(const std::string& level) const {
  if (!level.starts_with(sensitivity_ + ":")) {
    return level;
  }
  const std::vector<std::string> parts = Split(level.substr(sensitivity_.size() + 1), ',');
  if (parts.size() != 2) {
    return level;
  }
  const auto first = Category(parts[0]);
  const auto second = Category(parts[1]);
  return first && second && *first < range_ && *second < range_
             ? Text(static_cast<unsigned>(*first), static_cast<unsigned>(*second))
             : level;
}

absl::StatusOr<std::string> Levels::Reserve() {
  absl::MutexLock lock(&mutex_);
  std::uniform_int_distribution<unsigned> any(0, range_ - 1);
  for (int i = 0; i < kTries; ++i) {
    const unsigned first = any(random_);
    const unsigned second = any(random_);
    if (first != second && used_.emplace(Text(first, second), 1).second) {
      return Text(first, second);
    }
  }
  for (unsigned first = 0; first < range_; ++first) {
    for (unsigned second = first + 1; second < range_; ++second) {
      if (used_.emplace(Text(first, second), 1).second) {
        return Text(first, second);
      }
    }
  }
  return ResourceExhausted(
      "all {} pairs of SELinux categories are in use by pods; raise runtime.selinux_category_range",
      used_.size());
}

void Levels::Keep(const std::string& level) {
  absl::MutexLock lock(&mutex_);
  ++used_[Normal(level)];
}

void Levels::Release(const std::string& level) {
  absl::MutexLock lock(&mutex_);
  const auto found = used_.find(Normal(level));
  if (found != used_.end() && --found->second == 0) {
    used_.erase(found);
  }
}

}  // namespace davit::server::selinux
