// SPDX-License-Identifier: Apache-2.0
//
// Asks a CRI server, whichever it is, for what a kubelet asks: one timed call after another.
// Thread-safe but for the samples, of which each thread brings its own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <grpcpp/support/byte_buffer.h>

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
  std::string log;  // of the container
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
  // The address at which its streams are.
  virtual absl::StatusOr<std::string> ExecUrl(const PodAndContainer& made,
                                              const std::vector<std::string>& command) = 0;
  // Name and version of the server.
  virtual absl::StatusOr<std::string> Version(Samples& samples) = 0;
  virtual absl::Status ListPods(Samples& samples) = 0;
  // How many there are.
  virtual absl::StatusOr<size_t> ListContainers(Samples& samples) = 0;
  virtual absl::Status ListContainerStats(Samples& samples) = 0;
  virtual absl::Status ImageFsInfo(Samples& samples) = 0;
  // Of the server, the pod and the container.
  virtual absl::Status StatusOf(const PodAndContainer& made, Samples& samples) = 0;
  // What was answered last to each kind of call, as it came, by method: for BareServer.
  virtual std::map<std::string, grpc::ByteBuffer> LastAnswers() = 0;
  // Waits until the container can be stopped; stops and removes it, then the pod, each by its own
  // call.
  virtual absl::Status Remove(const PodAndContainer& made, Samples& samples) = 0;
};

}  // namespace davit::bench
