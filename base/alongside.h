// SPDX-License-Identifier: Apache-2.0
//
// A piece of work beside another: begun on construction on a thread of its own, waited for by
// Join() or, at the latest, by the destructor. For one owner thread.
#pragma once

#include <functional>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/status/status.h"

namespace davit {

class Alongside {
 public:
  explicit Alongside(std::function<absl::Status()> work) : work_(std::move(work)) {
    try {
      thread_ = std::thread([this] { status_ = work_(); });
    } catch (const std::system_error&) {
      status_ = work_();  // no thread to be had: one after the other, then
    }
  }
  ~Alongside() { (void)Join(); }
  Alongside(const Alongside&) = delete;
  Alongside& operator=(const Alongside&) = delete;

  // Waits for the end of the work and tells how it went. May be called again.
  absl::Status Join() {
    if (thread_.joinable()) {
      thread_.join();
    }
    return status_;
  }

 private:
  const std::function<absl::Status()> work_;
  absl::Status status_;
  std::thread thread_;
};

}  // namespace davit
