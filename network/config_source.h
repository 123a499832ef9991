// SPDX-License-Identifier: Apache-2.0
//
// Which network is in use now: the configuration directory, read again when it or a file in it has
// changed. A look at an unchanged directory costs a stat(2) for it and for each file. Thread-safe.
// Only reads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "config/config.h"
#include "network/cni_config.h"

namespace davit::network {

using NetworkPtr = std::shared_ptr<const NetworkConfig>;

class ConfigSource {
 public:
  explicit ConfigSource(config::Network config) : config_(std::move(config)) {}

  // Never null. The first file by name decides, or the network named default_network; without any
  // file the embedded bridge, if allowed. Unavailable: nothing is configured. FailedPrecondition:
  // the file that decides is broken (a broken file is not passed over: the pod would land in a
  // network that nobody chose).
  absl::StatusOr<NetworkPtr> Current();

 private:
  // What changes with the content. An entry of the directory itself comes first.
  struct Stamp {
    std::string path;
    uint64_t inode = 0;
    int64_t size = 0;
    int64_t modified_ns = 0;
    int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Loaded {
    std::vector<Stamp> stamps;
    bool settled = false;
    absl::StatusOr<NetworkPtr> network;
  };

  static std::optional<Stamp> StampOf(const std::string& path);
  [[nodiscard]] static bool IsFresh(const Loaded& loaded);
  [[nodiscard]] std::vector<Stamp> Scan() const;
  [[nodiscard]] absl::StatusOr<NetworkPtr> Choose(const std::vector<Stamp>& stamps) const;
  [[nodiscard]] absl::StatusOr<NetworkPtr> ChooseByName(const std::vector<Stamp>& files) const;

  const config::Network config_;
  absl::Mutex mutex_;
  std::optional<Loaded> loaded_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::network
