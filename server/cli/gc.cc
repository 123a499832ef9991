// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/id.h"
#include "base/time.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {

absl::Status RunGarbage(const Globals& globals, const GarbageOptions& options) {
  Client client(globals.socket);
  davit::v1::CollectGarbageRequest request;
  request.set_dry_run(options.dry_run);
  request.set_images(options.images);
  request.set_older_than_seconds(options.older_than_seconds);
  request.set_keep_free_bytes(options.keep_free_bytes);
  ASSIGN_OR_RETURN(
      const auto response,
      client.Call(client.davit(), &davit::v1::Davit::Stub::CollectGarbage, request, kLong));
  if (globals.json) {
    fmt::print("{}", ToJson(response));
    return absl::OkStatus();
  }
  Table table({"KIND", "NAME", "ID", "SIZE"});
  for (const auto& garbage : response.garbage()) {
    table.Add({garbage.kind(), garbage.name(), std::string(ShortId(garbage.id())),
               HumanBytes(garbage.bytes())});
  }
  fmt::print("{}{} {}\n", response.garbage().empty() ? "" : table.Text(),
             options.dry_run ? "would remove" : "removed", HumanBytes(response.bytes()));
  return absl::OkStatus();
}

}  // namespace davit::server::cli
