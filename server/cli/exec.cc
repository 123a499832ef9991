// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/resolve.h"
#include "server/cli/stream/command_stream.h"
#include "server/cli/stream/terminal.h"

namespace davit::server::cli {
namespace {

// A command with a time limit: what the daemon's probes do. Its output comes when it has ended.
absl::StatusOr<int> RunLimited(Client& client, const std::string& id, const ExecOptions& options) {
  runtime::v1::ExecSyncRequest request;
  request.set_container_id(id);
  request.mutable_cmd()->Assign(options.command.begin(), options.command.end());
  request.set_timeout(options.timeout_seconds);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, ExecSync, request, kLong));
  fmt::print(stdout, "{}", response.stdout());
  fmt::print(stderr, "{}", response.stderr());
  return response.exit_code();
}

}  // namespace

absl::Status RunExec(const Globals& globals, const ExecOptions& options, int* exit_code) {
  Client client(globals.socket);
  ASSIGN_OR_RETURN(const std::string id, ResolveContainer(client, options.container));
  if (options.timeout_seconds > 0) {
    if (options.in || options.tty) {
      return InvalidArgument("--timeout is for commands without -i and -t");
    }
    ASSIGN_OR_RETURN(*exit_code, RunLimited(client, id, options));
    return absl::OkStatus();
  }
  CommandStream stream;
  stream.ca_file = options.tls_ca;
  stream.in = options.in;
  stream.tty = options.tty;
  if (options.tty && options.in && !IsTerminal(STDIN_FILENO)) {
    fmt::print(stderr, "davit: stdin is no terminal: going on without -t\n");
    stream.tty = false;
  }
  runtime::v1::ExecRequest request;
  request.set_container_id(id);
  request.mutable_cmd()->Assign(options.command.begin(), options.command.end());
  request.set_stdin(stream.in);
  request.set_stdout(true);
  request.set_stderr(!stream.tty);
  request.set_tty(stream.tty);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, Exec, request));
  stream.url = response.url();
  ASSIGN_OR_RETURN(const CommandEnd end, RunCommandStream(stream));
  *exit_code = end.exit_code;
  return absl::OkStatus();
}

}  // namespace davit::server::cli
