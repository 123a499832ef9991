// SPDX-License-Identifier: Apache-2.0
//
// How long calls took, by name of the call, in the order in which names came. For one thread at a
// time; threads keep their own and Merge them.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace davit::bench {

struct Summary {
  size_t count = 0;
  double min = 0;
  double p50 = 0;
  double p99 = 0;
};

// Nearest rank. Zeros for no values.
[[nodiscard]] Summary Summarize(std::vector<double> values);

class Samples {
 public:
  void Add(const std::string& name, double milliseconds);
  // Its names with `prefix` before them.
  void Merge(const Samples& other, const std::string& prefix = "");

  [[nodiscard]] std::string Table() const;
  // {"RunPodSandbox": [1.25, …], …}: all of them, so that runs can be put together.
  [[nodiscard]] std::string Json() const;

 private:
  std::vector<double>& Of(const std::string& name);

  std::vector<std::pair<std::string, std::vector<double>>> series_;
};

}  // namespace davit::bench
