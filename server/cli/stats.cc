// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/id.h"
#include "base/time.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {

absl::Status RunStats(const Globals& globals) {
  Client client(globals.socket);
  ASSIGN_OR_RETURN(
      const auto response,
      DAVIT_RUNTIME_CALL(client, ListContainerStats, runtime::v1::ListContainerStatsRequest()));
  if (globals.json) {
    fmt::print("{}", ToJson(response));
    return absl::OkStatus();
  }
  Table table({"CONTAINER ID", "NAME", "CPU TIME", "MEMORY", "WORKING SET", "WRITTEN"});
  for (const auto& stats : response.stats()) {
    const auto& memory = stats.memory();
    table.Add({ShortId(stats.attributes().id()), stats.attributes().metadata().name(),
               HumanDuration(static_cast<int64_t>(stats.cpu().usage_core_nano_seconds().value())),
               HumanBytes(memory.usage_bytes().value()),
               HumanBytes(memory.working_set_bytes().value()),
               stats.has_writable_layer() ? HumanBytes(stats.writable_layer().used_bytes().value())
                                          : "counting"});
  }
  fmt::print("{}", table.Text());
  return absl::OkStatus();
}

}  // namespace davit::server::cli
