// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {

absl::Status RunStatus(const Globals& globals) {
  Client client(globals.socket);
  runtime::v1::StatusRequest request;
  request.set_verbose(true);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, Status, request));
  if (globals.json) {
    fmt::print("{}", ToJson(response));
    return absl::OkStatus();
  }
  Table conditions({"CONDITION", "STATUS", "REASON", "MESSAGE"});
  for (const auto& condition : response.status().conditions()) {
    conditions.Add({condition.type(), condition.status() ? "yes" : "no", condition.reason(),
                    condition.message()});
  }
  fmt::print("{}\n", conditions.Text());
  const auto info = response.info().find("info");
  if (info != response.info().end()) {
    ASSIGN_OR_RETURN(const auto json, ParseJson(info->second, "status"));
    fmt::print("{}\n", DumpJson(json, 2));
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
