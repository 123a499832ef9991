// SPDX-License-Identifier: Apache-2.0
//
// Calls to the daemon as the kubelet makes them: one method for each RPC that Davit serves, errors
// as absl::Status with the gRPC code and message. Thread-safe. gRPC's headers stay in client.cc.
#pragma once

#include <chrono>
#include <memory>
#include <string>

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
  X(ListContainerStats)

#define DAVIT_E2E_IMAGE_RPCS(X) \
  X(PullImage)                  \
  X(ListImages)                 \
  X(ImageStatus)                \
  X(RemoveImage)                \
  X(ImageFsInfo)

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

  // Calls any method with an empty request: for those that Davit does not serve. "Exec" or
  // "ImageService/StreamImages" (of runtime.v1).
  absl::Status CallEmpty(const std::string& method);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace davit::e2e
