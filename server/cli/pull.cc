// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <fmt/format.h>

#include "base/time.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/progress.h"
#include "server/cli/pull_one.h"

namespace davit::server::cli {
namespace {

absl::Status SetCredentials(const std::string& text, runtime::v1::AuthConfig& auth) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return InvalidArgument("--creds must be USER:PASSWORD");
  }
  auth.set_username(text.substr(0, colon));
  auth.set_password(text.substr(colon + 1));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<davit::v1::PullImageProgress> PullOne(Client& client,
                                                     const davit::v1::PullImageRequest& request,
                                                     bool quiet) {
  grpc::ClientContext context;
  auto reader = client.davit().PullImage(&context, request);
  PullProgress bars(::isatty(STDOUT_FILENO) == 1);
  davit::v1::PullImageProgress last;
  for (davit::v1::PullImageProgress progress; reader->Read(&progress);) {
    if (!quiet) {
      bars.Show(progress);
    }
    last.Swap(&progress);
  }
  RETURN_IF_ERROR(client.Translate(reader->Finish()));
  return last;
}

absl::Status RunPull(const Globals& globals, const PullOptions& options) {
  Client client(globals.socket);
  for (const auto& image : options.images) {
    davit::v1::PullImageRequest request;
    request.mutable_image()->set_image(image);
    if (!options.credentials.empty()) {
      RETURN_IF_ERROR(SetCredentials(options.credentials, *request.mutable_auth()));
    }
    const int64_t started = NowNanos();
    ASSIGN_OR_RETURN(const auto result, PullOne(client, request, globals.json));
    if (globals.json) {
      fmt::print("{{\"image\": \"{}\", \"id\": \"{}\", \"reference\": \"{}\"}}\n", image,
                 result.image_id(), result.image_ref());
    } else {
      fmt::print("{}\n{} in {}\n", result.image_ref(),
                 result.already_present() ? "already here" : "pulled",
                 HumanDuration(NowNanos() - started));
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
