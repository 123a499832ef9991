// SPDX-License-Identifier: Apache-2.0
#include "server/grpc/runtime_service.h"

#include "server/container/container_rpcs.h"
#include "server/container/read_rpcs.h"
#include "server/grpc/refuse.h"
#include "server/runtime/runtime_rpcs.h"
#include "server/sandbox/read_rpcs.h"
#include "server/sandbox/sandbox_rpcs.h"
#include "server/stats/stats_rpcs.h"

namespace davit::server {

namespace v1 = runtime::v1;

#define DAVIT_DISPATCH(Method, where)                                                        \
  grpc::ServerUnaryReactor* RuntimeServiceImpl::Method(grpc::CallbackServerContext* context, \
                                                       const v1::Method##Request* request,   \
                                                       v1::Method##Response* response) {     \
    return dispatcher_.Dispatch<v1::Method##Request, v1::Method##Response>(                  \
        where, #Method, context, request, response, server::Method);                         \
  }
#define DAVIT_LATER(Method)                                                              \
  grpc::ServerUnaryReactor* RuntimeServiceImpl::Method(                                  \
      grpc::CallbackServerContext*, const v1::Method##Request*, v1::Method##Response*) { \
    return new RefusedUnary(UnimplementedMethod(#Method));                               \
  }
#define DAVIT_LATER_STREAM(Method, Request, Response)                                              \
  grpc::ServerWriteReactor<v1::Response>* RuntimeServiceImpl::Method(grpc::CallbackServerContext*, \
                                                                     const v1::Request*) {         \
    return new RefusedStream<v1::Response>(UnimplementedMethod(#Method));                          \
  }

DAVIT_DISPATCH(Version, RunOn::kGrpcThread)
DAVIT_DISPATCH(Status, RunOn::kExecutor)
DAVIT_DISPATCH(RuntimeConfig, RunOn::kGrpcThread)
DAVIT_DISPATCH(UpdateRuntimeConfig, RunOn::kGrpcThread)

DAVIT_DISPATCH(RunPodSandbox, RunOn::kExecutor)
DAVIT_DISPATCH(StopPodSandbox, RunOn::kExecutor)
DAVIT_DISPATCH(RemovePodSandbox, RunOn::kExecutor)
DAVIT_DISPATCH(PodSandboxStatus, RunOn::kGrpcThread)
DAVIT_DISPATCH(ListPodSandbox, RunOn::kGrpcThread)

DAVIT_DISPATCH(CreateContainer, RunOn::kExecutor)
DAVIT_DISPATCH(StartContainer, RunOn::kExecutor)
DAVIT_DISPATCH(StopContainer, RunOn::kExecutor)
DAVIT_DISPATCH(RemoveContainer, RunOn::kExecutor)
DAVIT_DISPATCH(ContainerStatus, RunOn::kGrpcThread)
DAVIT_DISPATCH(ListContainers, RunOn::kGrpcThread)
DAVIT_DISPATCH(UpdateContainerResources, RunOn::kExecutor)
DAVIT_DISPATCH(ReopenContainerLog, RunOn::kExecutor)
DAVIT_DISPATCH(ExecSync, RunOn::kExecutor)
DAVIT_DISPATCH(Exec, RunOn::kGrpcThread)
DAVIT_DISPATCH(Attach, RunOn::kGrpcThread)
DAVIT_DISPATCH(PortForward, RunOn::kGrpcThread)

DAVIT_DISPATCH(ContainerStats, RunOn::kExecutor)
DAVIT_DISPATCH(ListContainerStats, RunOn::kExecutor)

DAVIT_LATER(UpdatePodSandboxResources)
DAVIT_LATER(PodSandboxStats)
DAVIT_LATER(ListPodSandboxStats)
DAVIT_LATER(ListMetricDescriptors)
DAVIT_LATER(ListPodSandboxMetrics)
DAVIT_LATER(CheckpointContainer)
DAVIT_LATER(CheckpointPod)
DAVIT_LATER(RestorePod)
DAVIT_LATER_STREAM(StreamPodSandboxes, StreamPodSandboxesRequest, StreamPodSandboxesResponse)
DAVIT_LATER_STREAM(StreamContainers, StreamContainersRequest, StreamContainersResponse)
DAVIT_LATER_STREAM(StreamContainerStats, StreamContainerStatsRequest, StreamContainerStatsResponse)
DAVIT_LATER_STREAM(StreamPodSandboxStats, StreamPodSandboxStatsRequest,
                   StreamPodSandboxStatsResponse)
DAVIT_LATER_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest,
                   StreamPodSandboxMetricsResponse)
DAVIT_LATER_STREAM(GetContainerEvents, GetEventsRequest, ContainerEventResponse)

}  // namespace davit::server
