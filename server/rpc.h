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
// Debug for success, info for failure: method, time taken, error.
void LogCall(const char* method, int64_t started_ns, const absl::Status& status);

template <typename Request, typename Response>
using Handler = absl::StatusOr<Response> (*)(Node&, Context&, const Request&);

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
    try {
      auto result = handler(node, ctx_, *request_);
      if (result.ok()) {
        *response_ = *std::move(result);
      }
      return result.status();
    } catch (const std::exception& error) {
      return Internal("{}: unexpected exception: {}", method_, error.what());
    }
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

// Calls of methods that come with a later version: UNIMPLEMENTED, naming the method.
grpc::Status UnimplementedMethod(const char* method);

}  // namespace davit::server
