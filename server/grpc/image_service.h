// SPDX-License-Identifier: Apache-2.0
//
// runtime.v1.ImageService: each method hands over to the handler of its name.
#pragma once

#include "server/api/api.grpc.pb.h"
#include "server/rpc.h"

namespace davit::server {

class ImageServiceImpl final : public runtime::v1::ImageService::CallbackService {
 public:
  ImageServiceImpl(Node& node, Executor& calls) : dispatcher_{node, calls} {}

#define DAVIT_UNARY(Method)                                                     \
  grpc::ServerUnaryReactor* Method(grpc::CallbackServerContext* context,        \
                                   const runtime::v1::Method##Request* request, \
                                   runtime::v1::Method##Response* response) override;
  DAVIT_UNARY(ListImages)
  DAVIT_UNARY(ImageStatus)
  DAVIT_UNARY(PullImage)
  DAVIT_UNARY(RemoveImage)
  DAVIT_UNARY(ImageFsInfo)
#undef DAVIT_UNARY

  grpc::ServerWriteReactor<runtime::v1::StreamImagesResponse>* StreamImages(
      grpc::CallbackServerContext* context,
      const runtime::v1::StreamImagesRequest* request) override;

 private:
  Dispatcher dispatcher_;
};

}  // namespace davit::server
