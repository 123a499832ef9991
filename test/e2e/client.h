// SPDX-License-Identifier: Apache-2.0
//
// Calls to the daemon as the kubelet makes them: one method for each RPC that Davit serves, errors
// as absl::Status with the gRPC code and message. Thread-safe. gRPC's headers stay in client.cc.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "server/api/api.pb.h"

namespace davit::e2e {

namespace v1 = runtime::v1;

#define DAVIT_E2E_RUNTIME_RPCS(X) \
  X(Version)                      \
  X(Status)                       \
  X(RuntimeConfig)                \
  X(UpdateRuntimeConfig)          \
  X(RunPodSandbox)                \
  X(StopPodSandbox)               \
  X(RemovePodSandbox)             \
  X(PodSandboxStatus)             \
  X(ListPodSandbox)               \
  X(CreateContainer)              \
  X(StartContainer)               \
  X(StopContainer)                \
  X(RemoveContainer)              \
  X(ContainerStatus)              \
  X(ListContainers)               \
  X(ExecSync)                     \
  X(Exec)                         \
  X(Attach)                       \
  X(PortForward)                  \
  X(UpdateContainerResources)     \
  X(ReopenContainerLog)           \
  X(ContainerStats)               \
  X(ListContainerStats)           \
  X(PodSandboxStats)              \
  X(ListPodSandboxStats)          \
  X(ListMetricDescriptors)        \
  X(ListPodSandboxMetrics)        \
  X(UpdatePodSandboxResources)    \
  X(CheckpointContainer)          \
  X(CheckpointPod)                \
  X(RestorePod)

// Lists in pieces.
#define DAVIT_E2E_STREAMS(X) \
  X(StreamPodSandboxes)      \
  X(StreamContainers)        \
  X(StreamContainerStats)    \
  X(StreamPodSandboxStats)   \
  X(StreamPodSandboxMetrics)

#define DAVIT_E2E_IMAGE_RPCS(X) \
  X(PullImage)                  \
  X(ListImages)                 \
  X(ImageStatus)                \
  X(RemoveImage)                \
  X(ImageFsInfo)

// GetContainerEvents, subscribed when it is made. Ends with its object.
class EventStream {
 public:
  struct Impl;
  explicit EventStream(std::unique_ptr<Impl> impl);
  ~EventStream();
  EventStream(EventStream&&) noexcept;
  EventStream& operator=(EventStream&&) = delete;

  // The next event, or how the stream ended (its deadline is the client's timeout).
  absl::StatusOr<v1::ContainerEventResponse> Next();

 private:
  std::unique_ptr<Impl> impl_;
};

class Client {
 public:
  static constexpr std::chrono::milliseconds kTimeout{60'000};

  explicit Client(const std::string& socket);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

#define DAVIT_E2E_DECLARE(Rpc)                                                                \
  absl::StatusOr<v1::Rpc##Response> Rpc(const v1::Rpc##Request& request = v1::Rpc##Request(), \
                                        std::chrono::milliseconds timeout = kTimeout);
  DAVIT_E2E_RUNTIME_RPCS(DAVIT_E2E_DECLARE)
  DAVIT_E2E_IMAGE_RPCS(DAVIT_E2E_DECLARE)
#undef DAVIT_E2E_DECLARE

  // All pieces.
#define DAVIT_E2E_DECLARE(Rpc)                                                         \
  absl::StatusOr<std::vector<v1::Rpc##Response>> Rpc(const v1::Rpc##Request& request = \
                                                         v1::Rpc##Request());
  DAVIT_E2E_STREAMS(DAVIT_E2E_DECLARE)
  DAVIT_E2E_DECLARE(StreamImages)
#undef DAVIT_E2E_DECLARE
  EventStream Events();

  // Calls any method with an empty request: for those that Davit does not serve. "Exec" or
  // "ImageService/StreamImages" (of runtime.v1).
  absl::Status CallEmpty(const std::string& method);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace davit::e2e
