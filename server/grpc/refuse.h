// SPDX-License-Identifier: Apache-2.0
//
// Reactors that answer a call at once with a status.
#pragma once

#include <grpcpp/grpcpp.h>

namespace davit::server {

class RefusedUnary final : public grpc::ServerUnaryReactor {
 public:
  explicit RefusedUnary(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

template <typename Response>
class RefusedStream final : public grpc::ServerWriteReactor<Response> {
 public:
  explicit RefusedStream(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace davit::server
