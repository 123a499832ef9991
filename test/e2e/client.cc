// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/client.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "server/api/api.grpc.pb.h"

namespace davit::e2e {
namespace {

constexpr int kMaxMessageBytes = 64 << 20;

// A daemon that was restarted answers the first call after it listens: attempts come soon after
// each other, but each has the time that a busy machine needs from the connection to the first
// answer (the minimum between two attempts is that time too).
grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  return arguments;
}

absl::Status FromGrpc(const grpc::Status& status) {
  return status.ok() ? absl::OkStatus()
                     : absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                                    status.error_message());
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Stub& stub,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request, std::chrono::milliseconds timeout) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  Response response;
  if (absl::Status status = FromGrpc((stub.*method)(&context, request, &response)); !status.ok()) {
    return status;
  }
  return response;
}

template <typename Response, typename Stub, typename Request, typename Method>
absl::StatusOr<std::vector<Response>> Collect(Stub& stub, Method method, const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + Client::kTimeout);
  const auto reader = (stub.*method)(&context, request);
  std::vector<Response> pieces;
  Response piece;
  while (reader->Read(&piece)) {
    pieces.push_back(std::move(piece));
  }
  if (absl::Status status = FromGrpc(reader->Finish()); !status.ok()) {
    return status;
  }
  return pieces;
}

}  // namespace

struct EventStream::Impl {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::ContainerEventResponse>> reader;
};

EventStream::EventStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventStream::EventStream(EventStream&&) noexcept = default;
EventStream::~EventStream() {
  if (impl_) {
    impl_->context.TryCancel();
  }
}

absl::StatusOr<v1::ContainerEventResponse> EventStream::Next() {
  v1::ContainerEventResponse event;
  if (!impl_->reader->Read(&event)) {
    return FromGrpc(impl_->reader->Finish());
  }
  return event;
}

struct Client::Impl {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::RuntimeService::Stub> runtime;
  std::unique_ptr<v1::ImageService::Stub> image;
};

Client::Client(const std::string& socket) : impl_(std::make_unique<Impl>()) {
  impl_->channel = grpc::CreateCustomChannel("unix://" + socket, grpc::InsecureChannelCredentials(),
                                             Arguments());
  impl_->runtime = v1::RuntimeService::NewStub(impl_->channel);
  impl_->image = v1::ImageService::NewStub(impl_->channel);
}

Client::~Client() = default;

#define DAVIT_E2E_DEFINE(Service, stub, Rpc)                                         \
  absl::StatusOr<v1::Rpc##Response> Client::Rpc(const v1::Rpc##Request& request,     \
                                                std::chrono::milliseconds timeout) { \
    return Call(*impl_->stub, &v1::Service::Stub::Rpc, request, timeout);            \
  }
#define DAVIT_E2E_DEFINE_RUNTIME(Rpc) DAVIT_E2E_DEFINE(RuntimeService, runtime, Rpc)
#define DAVIT_E2E_DEFINE_IMAGE(Rpc) DAVIT_E2E_DEFINE(ImageService, image, Rpc)
DAVIT_E2E_RUNTIME_RPCS(DAVIT_E2E_DEFINE_RUNTIME)
DAVIT_E2E_IMAGE_RPCS(DAVIT_E2E_DEFINE_IMAGE)

#define DAVIT_E2E_DEFINE_STREAM(Service, stub, Rpc)                                             \
  absl::StatusOr<std::vector<v1::Rpc##Response>> Client::Rpc(const v1::Rpc##Request& request) { \
    return Collect<v1::Rpc##Response>(*impl_->stub, &v1::Service::Stub::Rpc, request);          \
  }
#define DAVIT_E2E_DEFINE_RUNTIME_STREAM(Rpc) DAVIT_E2E_DEFINE_STREAM(RuntimeService, runtime, Rpc)
DAVIT_E2E_STREAMS(DAVIT_E2E_DEFINE_RUNTIME_STREAM)
DAVIT_E2E_DEFINE_STREAM(ImageService, image, StreamImages)

EventStream Client::Events() {
  auto stream = std::make_unique<EventStream::Impl>();
  stream->context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  stream->reader = impl_->runtime->GetContainerEvents(&stream->context, v1::GetEventsRequest());
  stream->reader->WaitForInitialMetadata();
  return EventStream(std::move(stream));
}

absl::Status Client::CallEmpty(const std::string& method) {
  const std::string path =
      method.find('/') == std::string::npos ? "RuntimeService/" + method : method;
  grpc::GenericStub stub(impl_->channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  const auto call =
      stub.PrepareUnaryCall(&context, "/runtime.v1." + path, grpc::ByteBuffer(nullptr, 0), &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return FromGrpc(status);
}

}  // namespace davit::e2e
