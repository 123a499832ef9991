// SPDX-License-Identifier: Apache-2.0
//
// Waiting and giving up in tests.
#pragma once

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace davit::e2e {

using namespace std::chrono_literals;

// Asks again and again until it holds; false after the deadline.
bool Eventually(const std::function<bool()>& condition, std::chrono::milliseconds timeout = 20s);

// The value, or the end of the test with the error: gtest shows what() of an exception.
template <typename T>
T Must(absl::StatusOr<T> result, const std::string& what = "") {
  if (!result.ok()) {
    throw std::runtime_error(what + (what.empty() ? "" : ": ") + result.status().ToString());
  }
  return *std::move(result);
}
inline void Must(const absl::Status& status, const std::string& what = "") {
  if (!status.ok()) {
    throw std::runtime_error(what + (what.empty() ? "" : ": ") + status.ToString());
  }
}

}  // namespace davit::e2e
