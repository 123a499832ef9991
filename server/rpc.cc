// SPDX-License-Identifier: Apache-2.0
#include "server/rpc.h"

#include "base/trace.h"

namespace davit::server {

grpc::Status ToGrpc(const absl::Status& status) {
  return status.ok()
             ? grpc::Status::OK
             : grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()), Message(status));
}

Context::Clock::time_point DeadlineOf(const grpc::ServerContextBase& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return Context::Clock::time_point::max();
  }
  const auto left = deadline - std::chrono::system_clock::now();
  // A client may ask for a time so far away that it overflows the steady clock.
  if (left > std::chrono::hours(24 * 365)) {
    return Context::Clock::time_point::max();
  }
  return Context::Clock::now() + std::chrono::duration_cast<Context::Clock::duration>(left);
}

void TakeTrace(const grpc::ServerContextBase& context, Context& ctx) {
  const auto& metadata = context.client_metadata();
  const auto parent = metadata.find("traceparent");
  if (parent == metadata.end()) {
    return;
  }
  if (const auto span = trace::ParseTraceparent({parent->second.data(), parent->second.size()})) {
    ctx.SetSpan(*span);
  }
}

grpc::ByteBuffer BufferOf(const SharedBytes& bytes) {
  // The slice keeps one reference until gRPC is done with it.
  auto* kept = new SharedBytes(bytes);
  const grpc::Slice slice(
      const_cast<char*>(bytes->data()), bytes->size(),
      [](void* reference) { delete static_cast<SharedBytes*>(reference); }, kept);
  return {&slice, 1};
}

void LogCall(const char* method, int64_t started_ns, const absl::Status& status) {
  const int64_t taken = NowNanos() - started_ns;
  if (status.ok()) {
    log::Debug("{} took {}", method, HumanDuration(taken));
  } else {
    log::Info("{} failed after {}: {}: {}", method, HumanDuration(taken),
              absl::StatusCodeToString(status.code()), Message(status));
  }
}

grpc::Status UnimplementedMethod(const char* method) {
  return {grpc::StatusCode::UNIMPLEMENTED,
          std::string(method) + " is not implemented by this version of davit"};
}

}  // namespace davit::server
