// SPDX-License-Identifier: Apache-2.0
//
// davit.v1.Davit: what the `davit` command asks beyond the CRI.
#pragma once

#include "server/api/davit.grpc.pb.h"
#include "server/rpc.h"

namespace davit::server {

class DavitServiceImpl final : public davit::v1::Davit::CallbackService {
 public:
  DavitServiceImpl(Node& node, Executor& calls) : node_(node), calls_(calls) {}

  grpc::ServerWriteReactor<davit::v1::PullImageProgress>* PullImage(
      grpc::CallbackServerContext* context, const davit::v1::PullImageRequest* request) override;
  grpc::ServerWriteReactor<davit::v1::PullsInProgress>* WatchPulls(
      grpc::CallbackServerContext* context, const davit::v1::WatchPullsRequest* request) override;
  grpc::ServerUnaryReactor* Timeline(grpc::CallbackServerContext* context,
                                     const davit::v1::TimelineRequest* request,
                                     davit::v1::TimelineResponse* response) override;
  grpc::ServerReadReactor<davit::v1::LoadImagesRequest>* LoadImages(
      grpc::CallbackServerContext* context, davit::v1::LoadImagesResponse* response) override;
  grpc::ServerWriteReactor<davit::v1::SaveImagesResponse>* SaveImages(
      grpc::CallbackServerContext* context, const davit::v1::SaveImagesRequest* request) override;
  grpc::ServerWriteReactor<davit::v1::CheckStorageResponse>* CheckStorage(
      grpc::CallbackServerContext* context, const davit::v1::CheckStorageRequest* request) override;
  grpc::ServerUnaryReactor* CollectGarbage(grpc::CallbackServerContext* context,
                                           const davit::v1::CollectGarbageRequest* request,
                                           davit::v1::CollectGarbageResponse* response) override;

 private:
  Node& node_;
  Executor& calls_;
};

}  // namespace davit::server
