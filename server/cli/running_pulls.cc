// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <fmt/format.h>

#include "base/time.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {
namespace {

std::string Layers(const davit::v1::RunningPull& pull) {
  int done = 0;
  for (const auto& layer : pull.layers()) {
    done += layer.state() == davit::v1::LAYER_DONE || layer.state() == davit::v1::LAYER_PRESENT;
  }
  return pull.layers().empty() ? "" : fmt::format("{}/{}", done, pull.layers_size());
}

// "12 MB / 90 MB": compressed, of the layers that are not here yet.
std::string Bytes(const davit::v1::RunningPull& pull) {
  uint64_t done = 0;
  uint64_t total = 0;
  for (const auto& layer : pull.layers()) {
    const bool counts = layer.state() != davit::v1::LAYER_PRESENT;
    done += counts ? layer.done_bytes() : 0;
    total += counts ? layer.total_bytes() : 0;
  }
  return total == 0 ? "" : HumanBytes(done) + " / " + HumanBytes(total);
}

std::string Text(const davit::v1::PullsInProgress& message) {
  Table table({"IMAGE", "AGE", "LAYERS", "BYTES", "RATE", "CLIENTS", "STAGE"});
  for (const auto& pull : message.pulls()) {
    const std::string rate =
        pull.bytes_per_second() == 0 ? "" : HumanBytes(pull.bytes_per_second()) + "/s";
    table.Add({pull.image(), HumanDuration(pull.age_ns()), Layers(pull), Bytes(pull), rate,
               std::to_string(pull.waiters()), pull.stage()});
  }
  return table.Text();
}

}  // namespace

absl::Status RunRunningPulls(const Globals& globals, bool watch) {
  Client client(globals.socket);
  grpc::ClientContext context;
  davit::v1::WatchPullsRequest request;
  request.set_watch(watch);
  auto reader = client.davit().WatchPulls(&context, request);
  const bool redraw = watch && ::isatty(STDOUT_FILENO) == 1;
  for (davit::v1::PullsInProgress message; reader->Read(&message);) {
    if (redraw) {
      fmt::print("\x1b[H\x1b[J");
    }
    fmt::print("{}", globals.json ? ToJson(message) : Text(message));
    std::fflush(stdout);
  }
  return client.Translate(reader->Finish());
}

}  // namespace davit::server::cli
