// SPDX-License-Identifier: Apache-2.0
#include "test/bench/bare_server.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include "base/status.h"

namespace davit::bench {
namespace {

constexpr int kMaxMessageBytes = 16 << 20;

class Answer final : public grpc::ServerGenericBidiReactor {
 public:
  // Null: UNIMPLEMENTED.
  explicit Answer(const grpc::ByteBuffer* bytes) : bytes_(bytes) {
    if (bytes_ == nullptr) {
      Finish({grpc::StatusCode::UNIMPLEMENTED, "the bare server has no answer for it"});
    } else {
      StartRead(&request_);
    }
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      StartWriteAndFinish(bytes_, grpc::WriteOptions(), grpc::Status::OK);
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

 private:
  const grpc::ByteBuffer* bytes_;
  grpc::ByteBuffer request_;
};

class Service final : public grpc::CallbackGenericService {
 public:
  explicit Service(std::map<std::string, grpc::ByteBuffer> answers)
      : answers_(std::move(answers)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const auto answer = answers_.find(context->method());
    return new Answer(answer == answers_.end() ? nullptr : &answer->second);
  }

 private:
  const std::map<std::string, grpc::ByteBuffer> answers_;
};

class GrpcBareServer final : public BareServer {
 public:
  GrpcBareServer(std::string socket, std::map<std::string, grpc::ByteBuffer> answers)
      : socket_(std::move(socket)), service_(std::move(answers)) {}
  ~GrpcBareServer() override {
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::system_clock::now());
    }
    (void)unlink(socket_.c_str());
  }

  absl::Status Start() {
    grpc::ServerBuilder builder;
    builder.SetMaxSendMessageSize(kMaxMessageBytes);
    builder.AddListeningPort("unix://" + socket_, grpc::InsecureServerCredentials());
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
    return server_ != nullptr ? absl::OkStatus()
                              : Unavailable("listen on {}: is its directory there?", socket_);
  }

 private:
  const std::string socket_;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BareServer>> BareServer::Create(
    const std::string& socket, std::map<std::string, grpc::ByteBuffer> answers) {
  auto server = std::make_unique<GrpcBareServer>(socket, std::move(answers));
  RETURN_IF_ERROR(server->Start());
  return server;
}

}  // namespace davit::bench
