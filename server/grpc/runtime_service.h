// SPDX-License-Identifier: Apache-2.0
//
// runtime.v1.RuntimeService: each method hands over to the handler of its name.
#pragma once

#include "server/api/api.grpc.pb.h"
#include "server/rpc.h"

namespace davit::server {

// The lists that a kubelet asks for each second are answered with bytes that are there already.
using RuntimeServiceBase = runtime::v1::RuntimeService::WithRawCallbackMethod_ListPodSandbox<
    runtime::v1::RuntimeService::WithRawCallbackMethod_ListContainers<
        runtime::v1::RuntimeService::CallbackService>>;

class RuntimeServiceImpl final : public RuntimeServiceBase {
 public:
  RuntimeServiceImpl(Node& node, Executor& calls) : dispatcher_{node, calls} {}

#define DAVIT_UNARY(Method)                                                     \
  grpc::ServerUnaryReactor* Method(grpc::CallbackServerContext* context,        \
                                   const runtime::v1::Method##Request* request, \
                                   runtime::v1::Method##Response* response) override;
#define DAVIT_SERIALIZED(Method)                                                                \
  using RuntimeServiceBase::Method;                                                             \
  grpc::ServerUnaryReactor* Method(grpc::CallbackServerContext* context,                        \
                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) \
      override;
#define DAVIT_STREAM(Method, Request, Response)            \
  grpc::ServerWriteReactor<runtime::v1::Response>* Method( \
      grpc::CallbackServerContext* context, const runtime::v1::Request* request) override;

  DAVIT_UNARY(Version)
  DAVIT_UNARY(Status)
  DAVIT_UNARY(RuntimeConfig)
  DAVIT_UNARY(UpdateRuntimeConfig)

  DAVIT_UNARY(RunPodSandbox)
  DAVIT_UNARY(StopPodSandbox)
  DAVIT_UNARY(RemovePodSandbox)
  DAVIT_UNARY(PodSandboxStatus)
  DAVIT_SERIALIZED(ListPodSandbox)
  DAVIT_UNARY(UpdatePodSandboxResources)

  DAVIT_UNARY(CreateContainer)
  DAVIT_UNARY(StartContainer)
  DAVIT_UNARY(StopContainer)
  DAVIT_UNARY(RemoveContainer)
  DAVIT_UNARY(ContainerStatus)
  DAVIT_SERIALIZED(ListContainers)
  DAVIT_UNARY(UpdateContainerResources)
  DAVIT_UNARY(ReopenContainerLog)
  DAVIT_UNARY(ExecSync)
  DAVIT_UNARY(Exec)
  DAVIT_UNARY(Attach)
  DAVIT_UNARY(PortForward)

  DAVIT_UNARY(ContainerStats)
  DAVIT_UNARY(ListContainerStats)
  DAVIT_UNARY(PodSandboxStats)
  DAVIT_UNARY(ListPodSandboxStats)
  DAVIT_UNARY(ListMetricDescriptors)
  DAVIT_UNARY(ListPodSandboxMetrics)

  DAVIT_UNARY(CheckpointContainer)
  DAVIT_UNARY(CheckpointPod)
  DAVIT_UNARY(RestorePod)

  DAVIT_STREAM(StreamPodSandboxes, StreamPodSandboxesRequest, StreamPodSandboxesResponse)
  DAVIT_STREAM(StreamContainers, StreamContainersRequest, StreamContainersResponse)
  DAVIT_STREAM(StreamContainerStats, StreamContainerStatsRequest, StreamContainerStatsResponse)
  DAVIT_STREAM(StreamPodSandboxStats, StreamPodSandboxStatsRequest, StreamPodSandboxStatsResponse)
  DAVIT_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest,
               StreamPodSandboxMetricsResponse)
  DAVIT_STREAM(GetContainerEvents, GetEventsRequest, ContainerEventResponse)

#undef DAVIT_UNARY
#undef DAVIT_SERIALIZED
#undef DAVIT_STREAM

 private:
  Dispatcher dispatcher_;
};

}  // namespace davit::server
