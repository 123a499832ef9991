// SPDX-License-Identifier: Apache-2.0
#include "server/grpc/runtime_service.h"

#include "server/container/container_rpcs.h"
#include "server/container/read_rpcs.h"
#include "server/grpc/container_events.h"
#include "server/grpc/list_stream.h"
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
#define DAVIT_SERIALIZED(Method)                                                               \
  grpc::ServerUnaryReactor* RuntimeServiceImpl::Method(grpc::CallbackServerContext* context,   \
                                                       const grpc::ByteBuffer* request,        \
                                                       grpc::ByteBuffer* response) {           \
    return AnswerSerialized<v1::Method##Request>(dispatcher_.node, #Method, context, *request, \
                                                 response, server::Method);                    \
  }
#define DAVIT_STREAM_LIST(Method)                                                            \
  grpc::ServerWriteReactor<v1::Method##Response>* RuntimeServiceImpl::Method(                \
      grpc::CallbackServerContext*, const v1::Method##Request* request) {                    \
    return new ListStream<v1::Method##Response>(dispatcher_.calls, #Method,                  \
                                                server::Method(dispatcher_.node, *request)); \
  }

DAVIT_DISPATCH(Version, RunOn::kGrpcThread)
// What nobody asks for each second reads files.
DAVIT_DISPATCH(Status, request->verbose() ? RunOn::kExecutor : RunOn::kGrpcThread)
DAVIT_DISPATCH(RuntimeConfig, RunOn::kGrpcThread)
DAVIT_DISPATCH(UpdateRuntimeConfig, RunOn::kGrpcThread)

DAVIT_DISPATCH(RunPodSandbox, RunOn::kExecutor)
DAVIT_DISPATCH(StopPodSandbox, RunOn::kExecutor)
DAVIT_DISPATCH(RemovePodSandbox, RunOn::kExecutor)
DAVIT_DISPATCH(PodSandboxStatus, RunOn::kGrpcThread)
DAVIT_SERIALIZED(ListPodSandbox)

DAVIT_DISPATCH(CreateContainer, RunOn::kExecutor)
DAVIT_DISPATCH(StartContainer, RunOn::kExecutor)
DAVIT_DISPATCH(StopContainer, RunOn::kExecutor)
DAVIT_DISPATCH(RemoveContainer, RunOn::kExecutor)
DAVIT_DISPATCH(ContainerStatus, RunOn::kGrpcThread)
DAVIT_SERIALIZED(ListContainers)
DAVIT_DISPATCH(UpdateContainerResources, RunOn::kExecutor)
DAVIT_DISPATCH(ReopenContainerLog, RunOn::kExecutor)
DAVIT_DISPATCH(ExecSync, RunOn::kExecutor)
DAVIT_DISPATCH(Exec, RunOn::kGrpcThread)
DAVIT_DISPATCH(Attach, RunOn::kGrpcThread)
DAVIT_DISPATCH(PortForward, RunOn::kGrpcThread)

DAVIT_DISPATCH(ContainerStats, RunOn::kExecutor)
DAVIT_DISPATCH(ListContainerStats, RunOn::kExecutor)

DAVIT_DISPATCH(PodSandboxStats, RunOn::kExecutor)
DAVIT_DISPATCH(ListPodSandboxStats, RunOn::kExecutor)
DAVIT_DISPATCH(ListMetricDescriptors, RunOn::kGrpcThread)
DAVIT_DISPATCH(ListPodSandboxMetrics, RunOn::kExecutor)

DAVIT_DISPATCH(UpdatePodSandboxResources, RunOn::kExecutor)
DAVIT_DISPATCH(CheckpointContainer, RunOn::kGrpcThread)
DAVIT_DISPATCH(CheckpointPod, RunOn::kGrpcThread)
DAVIT_DISPATCH(RestorePod, RunOn::kGrpcThread)

DAVIT_STREAM_LIST(StreamPodSandboxes)
DAVIT_STREAM_LIST(StreamContainers)
DAVIT_STREAM_LIST(StreamContainerStats)
DAVIT_STREAM_LIST(StreamPodSandboxStats)
DAVIT_STREAM_LIST(StreamPodSandboxMetrics)

grpc::ServerWriteReactor<v1::ContainerEventResponse>* RuntimeServiceImpl::GetContainerEvents(
    grpc::CallbackServerContext*, const v1::GetEventsRequest*) {
  return ListenToContainerEvents(dispatcher_.node);
}

}  // namespace davit::server
