// SPDX-License-Identifier: Apache-2.0
//
// The command line's side of the socket. Every call has a deadline; an error says what to do.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include <grpcpp/grpcpp.h>

#include "base/status.h"
#include "server/api/api.grpc.pb.h"
#include "server/api/davit.grpc.pb.h"

namespace davit::server::cli {

inline constexpr std::chrono::seconds kQuick{20};
inline constexpr std::chrono::seconds kLong{600};

class Client {
 public:
  explicit Client(const std::string& socket);

  // Client::Call(client.runtime(), &RuntimeService::Stub::Version, request)
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request, std::chrono::seconds timeout = kQuick) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    RETURN_IF_ERROR(Translate(status));
    return response;
  }

  absl::Status Translate(const grpc::Status& status) const;

  runtime::v1::RuntimeService::Stub& runtime() { return *runtime_; }
  runtime::v1::ImageService::Stub& image() { return *image_; }
  davit::v1::Davit::Stub& davit() { return *davit_; }

 private:
  std::string socket_;
  std::unique_ptr<runtime::v1::RuntimeService::Stub> runtime_;
  std::unique_ptr<runtime::v1::ImageService::Stub> image_;
  std::unique_ptr<davit::v1::Davit::Stub> davit_;
};

// The short name of a method of RuntimeService or ImageService with its stub.
#define DAVIT_RUNTIME_CALL(client, Method, ...) \
  (client).Call((client).runtime(), &runtime::v1::RuntimeService::Stub::Method, __VA_ARGS__)
#define DAVIT_IMAGE_CALL(client, Method, ...) \
  (client).Call((client).image(), &runtime::v1::ImageService::Stub::Method, __VA_ARGS__)

}  // namespace davit::server::cli
