// SPDX-License-Identifier: Apache-2.0
#include "server/version.h"

#include <fmt/format.h>

#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {

// The client's version is always told; the daemon's only where one answers.
absl::Status RunVersion(const Globals& globals) {
  Client client(globals.socket);
  const auto response = DAVIT_RUNTIME_CALL(client, Version, runtime::v1::VersionRequest());
  if (globals.json) {
    fmt::print("{{\"client\": \"{}\", \"server\": \"{}\"}}\n", kVersion,
               response.ok() ? response->runtime_version() : "");
    return absl::OkStatus();
  }
  fmt::print("davit {}\n", kVersion);
  if (response.ok()) {
    fmt::print("daemon {} {}, CRI {}\n", response->runtime_name(), response->runtime_version(),
               response->runtime_api_version());
  } else {
    fmt::print("daemon: {}\n", Message(response.status()));
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
