// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "base/json.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/resolve.h"
#include "server/cli/stream/command_stream.h"
#include "server/cli/stream/terminal.h"

namespace davit::server::cli {
namespace {

using namespace std::chrono_literals;

// A container is known to have ended a moment after its last output.
constexpr auto kExitInterval = 50ms;
constexpr int kExitTries = 40;

absl::StatusOr<runtime::v1::ContainerStatusResponse> StatusOf(Client& client, const std::string& id,
                                                              bool verbose) {
  runtime::v1::ContainerStatusRequest request;
  request.set_container_id(id);
  request.set_verbose(verbose);
  return DAVIT_RUNTIME_CALL(client, ContainerStatus, request);
}

// A terminal has one output, so the request has to say whether there is one.
absl::StatusOr<bool> HasTerminal(Client& client, const std::string& id) {
  ASSIGN_OR_RETURN(const auto response, StatusOf(client, id, /*verbose=*/true));
  const auto found = response.info().find("info");
  if (found == response.info().end()) {
    return false;
  }
  ASSIGN_OR_RETURN(const auto info, ParseJson(found->second, "what the daemon says of " + id));
  return JsonBool(JsonChild(JsonChild(info, "runtimeSpec"), "process"), "terminal");
}

// Its exit code; 0 if it goes on without its outputs.
absl::StatusOr<int> ExitCodeOf(Client& client, const std::string& id) {
  for (int i = 0; i < kExitTries; ++i) {
    ASSIGN_OR_RETURN(const auto response, StatusOf(client, id, /*verbose=*/false));
    if (response.status().state() == runtime::v1::CONTAINER_EXITED) {
      return response.status().exit_code();
    }
    std::this_thread::sleep_for(kExitInterval);
  }
  return 0;
}

}  // namespace

absl::Status RunAttach(const Globals& globals, const AttachOptions& options, int* exit_code) {
  Client client(globals.socket);
  ASSIGN_OR_RETURN(const std::string id, ResolveContainer(client, options.container));
  CommandStream stream;
  stream.ca_file = options.tls_ca;
  stream.in = options.in;
  ASSIGN_OR_RETURN(stream.tty, HasTerminal(client, id));
  if (options.tty && !stream.tty) {
    return FailedPrecondition("container {} has no terminal; attach to it without -t",
                              options.container);
  }
  stream.detach_keys = options.detach_keys;
  runtime::v1::AttachRequest request;
  request.set_container_id(id);
  request.set_stdin(stream.in);
  request.set_stdout(true);
  request.set_stderr(!stream.tty);
  request.set_tty(stream.tty);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, Attach, request));
  stream.url = response.url();
  ASSIGN_OR_RETURN(const CommandEnd end, RunCommandStream(stream));
  if (!end.detached) {
    ASSIGN_OR_RETURN(*exit_code, ExitCodeOf(client, id));
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
