// SPDX-License-Identifier: Apache-2.0
//
// Asks a CRI server, whichever it is, for what a kubelet asks: one timed call after another.
// Thread-safe but for the samples, of which each thread brings its own.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "test/bench/samples.h"

namespace davit::bench {

struct Target {
  std::string socket;
  std::string image;
  std::string runtime_handler;
  std::string cgroup_parent = "/davit-bench";
  std::string log_directory;
};

struct PodAndContainer {
  std::string pod;
  std::string container;
};

class NodeClient {
 public:
  static std::unique_ptr<NodeClient> Create(const Target& target);
  virtual ~NodeClient() = default;

  virtual absl::Status Pull(Samples& samples) = 0;
  virtual absl::Status ListImages(Samples& samples) = 0;
  virtual absl::Status RemoveImage(Samples& samples) = 0;
  // From nothing to a running container. On failure what was made is removed.
  virtual absl::StatusOr<PodAndContainer> Run(const std::string& name, Samples& samples) = 0;
  virtual absl::Status ExecTrue(const PodAndContainer& made, Samples& samples) = 0;
  // Stops and removes the container, then the pod, each by its own call.
  virtual absl::Status Remove(const PodAndContainer& made, Samples& samples) = 0;
};

}  // namespace davit::bench
