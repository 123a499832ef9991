// SPDX-License-Identifier: Apache-2.0
#include "test/bench/samples.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace davit::bench {
namespace {

double Rank(const std::vector<double>& sorted, double quantile) {
  const auto rank = static_cast<size_t>(std::ceil(quantile * static_cast<double>(sorted.size())));
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace

Summary Summarize(std::vector<double> values) {
  if (values.empty()) {
    return {};
  }
  std::sort(values.begin(), values.end());
  return {.count = values.size(),
          .min = values.front(),
          .p50 = Rank(values, 0.50),
          .p99 = Rank(values, 0.99)};
}

std::vector<double>& Samples::Of(const std::string& name) {
  for (auto& [known, values] : series_) {
    if (known == name) {
      return values;
    }
  }
  return series_.emplace_back(name, std::vector<double>()).second;
}

void Samples::Add(const std::string& name, double milliseconds) {
  Of(name).push_back(milliseconds);
}

void Samples::Merge(const Samples& other, const std::string& prefix) {
  for (const auto& [name, values] : other.series_) {
    auto& mine = Of(prefix + name);
    mine.insert(mine.end(), values.begin(), values.end());
  }
}

std::string Samples::Table() const {
  std::string text =
      fmt::format("{:<22} {:>6} {:>9} {:>9} {:>9}\n", "milliseconds", "count", "min", "p50", "p99");
  for (const auto& [name, values] : series_) {
    const Summary summary = Summarize(values);
    text += fmt::format("{:<22} {:>6} {:>9.2f} {:>9.2f} {:>9.2f}\n", name, summary.count,
                        summary.min, summary.p50, summary.p99);
  }
  return text;
}

std::string Samples::Json() const {
  std::string text = "{";
  for (const auto& [name, values] : series_) {
    text += fmt::format("{}\"{}\": [{:.3f}]", text.size() > 1 ? ", " : "", name,
                        fmt::join(values, ", "));
  }
  return text + "}";
}

}  // namespace davit::bench
