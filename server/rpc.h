// SPDX-License-Identifier: Apache-2.0
//
// The one place where a call from gRPC becomes a call of a handler: deadline and cancellation into
// a Context, absl::Status into grpc::Status, one log line, exceptions of libraries into INTERNAL.
//
// Handlers that never block (List, Status, Stats: snapshots only) run on the gRPC thread; all
// others on the executor for calls. A client that goes away cancels the handler's Context at once.
#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include <grpcpp/grpcpp.h>

#include "base/context.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/status.h"
#include "base/time.h"
#include "server/node.h"

namespace davit::server {

enum class RunOn { kGrpcThread, kExecutor };

grpc::Status ToGrpc(const absl::Status& status);
// The steady-clock moment of a gRPC deadline; max() for none.
Context::Clock::time_point DeadlineOf(const grpc::ServerContextBase& context);
// The span of the client's that the call belongs to, by its metadata `traceparent`.
void TakeTrace(const grpc::ServerContextBase& context, Context& ctx);
// Sends the bytes themselves, no copy of them.
grpc::ByteBuffer BufferOf(const SharedBytes& bytes);
// Debug for success, info for failure: method, time taken, error.
void LogCall(const char* method, int64_t started_ns, const absl::Status& status);

template <typename Request, typename Response>
using Handler = absl::StatusOr<Response> (*)(Node&, Context&, const Request&);

// One whose answer is a serialized message already. It never blocks.
template <typename Request>
using SerializedHandler = absl::StatusOr<SharedBytes> (*)(Node&, Context&, const Request&);

// The call of a handler, or of anything that gives a status or a StatusOr.
template <typename Call>
auto WithoutExceptions(const char* method, Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& error) {
    return Internal("{}: unexpected exception: {}", method, error.what());
  }
}

// Lives from the arrival of a call until OnDone.
template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(const char* method, grpc::CallbackServerContext* context, const Request* request,
            Response* response)
      : method_(method), ctx_(DeadlineOf(*context)), request_(request), response_(response) {
    TakeTrace(*context, ctx_);
  }

  void Run(Node& node, Handler<Request, Response> handler) {
    const int64_t started = NowNanos();
    absl::Status status = Invoke(node, handler);
    LogCall(method_, started, status);
    Finish(ToGrpc(status));
  }

  void OnCancel() override { ctx_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  absl::Status Invoke(Node& node, Handler<Request, Response> handler) {
    return WithoutExceptions(method_, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(*response_, handler(node, ctx_, *request_));
      return absl::OkStatus();
    });
  }

  const char* method_;
  Context ctx_;
  const Request* request_;
  Response* response_;
};

// What a service hands to its methods.
struct Dispatcher {
  Node& node;
  Executor& calls;

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Dispatch(RunOn where, const char* method,
                                     grpc::CallbackServerContext* context, const Request* request,
                                     Response* response, Handler<Request, Response> handler) {
    auto* call = new UnaryCall<Request, Response>(method, context, request, response);
    if (where == RunOn::kGrpcThread) {
      call->Run(node, handler);
    } else {
      calls.Run([this, call, handler] { call->Run(node, handler); });
    }
    return call;
  }
};

// On the gRPC thread.
template <typename Request>
grpc::ServerUnaryReactor* AnswerSerialized(Node& node, const char* method,
                                           grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer& request,
                                           grpc::ByteBuffer* response,
                                           SerializedHandler<Request> handler) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const int64_t started = NowNanos();
  Request parsed;
  grpc::ByteBuffer bytes(request);  // deserializing clears it
  if (const grpc::Status bad = grpc::SerializationTraits<Request>::Deserialize(&bytes, &parsed);
      !bad.ok()) {
    reactor->Finish(bad);
    return reactor;
  }
  Context ctx(DeadlineOf(*context));
  const auto answer = WithoutExceptions(method, [&] { return handler(node, ctx, parsed); });
  if (answer.ok()) {
    *response = BufferOf(*answer);
  }
  LogCall(method, started, answer.status());
  reactor->Finish(ToGrpc(answer.status()));
  return reactor;
}

// Calls of methods that come with a later version: UNIMPLEMENTED, naming the method.
grpc::Status UnimplementedMethod(const char* method);

}  // namespace davit::server
