// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include <fmt/format.h>

#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/resolve.h"

namespace davit::server::cli {

absl::Status RunExec(const Globals& globals, const ExecOptions& options, int* exit_code) {
  Client client(globals.socket);
  runtime::v1::ExecSyncRequest request;
  ASSIGN_OR_RETURN(*request.mutable_container_id(), ResolveContainer(client, options.container));
  for (const auto& word : options.command) {
    request.add_cmd(word);
  }
  request.set_timeout(options.timeout_seconds);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, ExecSync, request, kLong));
  fmt::print(stdout, "{}", response.stdout());
  fmt::print(stderr, "{}", response.stderr());
  *exit_code = response.exit_code();
  return absl::OkStatus();
}

}  // namespace davit::server::cli
