// SPDX-License-Identifier: Apache-2.0
//
// What the plugins of the network in use say of themselves: their VERSION, asked once for each
// network, and since CNI 1.1 their STATUS, asked again whenever somebody wants to know and the last
// answer is some seconds old. Nobody waits for an answer but who has no executor. Thread-safe.
#pragma once

#include <chrono>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "base/executor.h"
#include "network/config_source.h"
#include "network/plugin.h"

namespace davit::network {

class PluginStatus {
 public:
  // Both outlive the object; what runs on `background` has ended before it goes. Null: the caller
  // of Of() asks himself.
  PluginStatus(const PluginRunner& runner, Executor* background)
      : runner_(runner), background_(background) {}

  // The last answer: FailedPrecondition names the plugin and says what it said. While a network's
  // first answer is awaited that of the one before counts, so that a change of the configuration
  // makes no node unready for a moment; where there was none, the network is ready unless it is to
  // be asked for its STATUS.
  absl::Status Of(const NetworkPtr& network);

 private:
  struct Answer {
    NetworkPtr network;
    std::chrono::steady_clock::time_point time;
    bool known = false;  // versions need not be asked again
    absl::Status status;
  };

  [[nodiscard]] bool Due(const NetworkPtr& network) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ask(const NetworkPtr& network);
  [[nodiscard]] absl::Status AskVersions(const NetworkConfig& network) const;
  [[nodiscard]] absl::Status AskStatus(const NetworkConfig& network) const;

  const PluginRunner& runner_;
  Executor* const background_;
  absl::Mutex mutex_;
  bool asking_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Answer> answer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::network
