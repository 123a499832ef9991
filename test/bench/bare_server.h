// SPDX-License-Identifier: Apache-2.0
//
// The least that a call costs with gRPC in C++: a server of the same library and machine that
// answers a method with bytes it was given beforehand and does nothing else.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include <grpcpp/support/byte_buffer.h>

namespace davit::bench {

class BareServer {
 public:
  // By method, as "/runtime.v1.RuntimeService/Version"; others are UNIMPLEMENTED. Unavailable: it
  // could not listen on the socket, which is made here and removed at the end.
  static absl::StatusOr<std::unique_ptr<BareServer>> Create(
      const std::string& socket, std::map<std::string, grpc::ByteBuffer> answers);
  virtual ~BareServer() = default;
};

}  // namespace davit::bench
