// SPDX-License-Identifier: Apache-2.0
#include "server/cli/client.h"

namespace davit::server::cli {
namespace {

constexpr int kMaxMessageBytes = 64 << 20;

}  // namespace

Client::Client(const std::string& socket) : socket_(socket) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // A socket without a server is an error at once, not something to wait for.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto channel =
      grpc::CreateCustomChannel("unix://" + socket, grpc::InsecureChannelCredentials(), arguments);
  runtime_ = runtime::v1::RuntimeService::NewStub(channel);
  image_ = runtime::v1::ImageService::NewStub(channel);
  davit_ = davit::v1::Davit::NewStub(channel);
}

absl::Status Client::Translate(const grpc::Status& status) const {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const bool unreachable = status.error_code() == grpc::StatusCode::UNAVAILABLE &&
                           status.error_message().find("connect") != std::string::npos;
  if (unreachable) {
    return Unavailable(
        "no davit answers on {}; start it with `davit serve`, or name its socket with --socket",
        socket_);
  }
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace davit::server::cli
