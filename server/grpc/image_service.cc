// SPDX-License-Identifier: Apache-2.0
#include "server/grpc/image_service.h"

#include <utility>

#include "server/grpc/list_stream.h"
#include "server/grpc/refuse.h"
#include "server/image/image_rpcs.h"

namespace davit::server {

namespace v1 = runtime::v1;

#define DAVIT_DISPATCH(Method, where)                                                      \
  grpc::ServerUnaryReactor* ImageServiceImpl::Method(grpc::CallbackServerContext* context, \
                                                     const v1::Method##Request* request,   \
                                                     v1::Method##Response* response) {     \
    return dispatcher_.Dispatch<v1::Method##Request, v1::Method##Response>(                \
        where, #Method, context, request, response, server::Method);                       \
  }

DAVIT_DISPATCH(ListImages, RunOn::kGrpcThread)
DAVIT_DISPATCH(ImageStatus, RunOn::kGrpcThread)
DAVIT_DISPATCH(PullImage, RunOn::kExecutor)
DAVIT_DISPATCH(RemoveImage, RunOn::kExecutor)
DAVIT_DISPATCH(ImageFsInfo, RunOn::kGrpcThread)

grpc::ServerWriteReactor<v1::StreamImagesResponse>* ImageServiceImpl::StreamImages(
    grpc::CallbackServerContext*, const v1::StreamImagesRequest* request) {
  auto fill = server::StreamImages(dispatcher_.node, *request);
  if (!fill.ok()) {
    return new RefusedStream<v1::StreamImagesResponse>(ToGrpc(fill.status()));
  }
  return new ListStream<v1::StreamImagesResponse>(dispatcher_.calls, "StreamImages",
                                                  *std::move(fill));
}

}  // namespace davit::server
