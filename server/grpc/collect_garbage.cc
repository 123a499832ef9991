// SPDX-License-Identifier: Apache-2.0
#include "server/image/collect_garbage.h"

#include "server/grpc/davit_service.h"

namespace davit::server {

grpc::ServerUnaryReactor* DavitServiceImpl::CollectGarbage(
    grpc::CallbackServerContext* context, const davit::v1::CollectGarbageRequest* request,
    davit::v1::CollectGarbageResponse* response) {
  using Call = UnaryCall<davit::v1::CollectGarbageRequest, davit::v1::CollectGarbageResponse>;
  auto* call = new Call("CollectGarbage", context, request, response);
  calls_.Run([this, call] { call->Run(node_, server::CollectGarbage); });
  return call;
}

}  // namespace davit::server
