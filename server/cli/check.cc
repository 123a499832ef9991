// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include <fmt/format.h>

#include "base/db.h"
#include "base/file.h"
#include "base/log.h"
#include "base/time.h"
#include "config/load.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/load_config.h"
#include "server/cli/table.h"
#include "server/image/check_view.h"
#include "server/locks.h"
#include "storage/storage.h"

namespace davit::server::cli {
namespace {

void Print(const Globals& globals, const davit::v1::CheckFinding& finding) {
  if (globals.json) {
    fmt::print("{}", ToJson(finding));
  } else {
    fmt::print("{}: {}\n  {}\n", finding.object(), finding.text(), finding.remedy());
  }
}

void Print(const Globals& globals, const davit::v1::CheckReport& report, bool full) {
  if (globals.json) {
    fmt::print("{}", ToJson(report));
    return;
  }
  fmt::print("checked {} images, {} layers, {} containers", report.images(), report.layers(),
             report.containers());
  if (full) {
    fmt::print("; content of {} layers, {}", report.layers_by_content(),
               HumanBytes(report.bytes()));
  }
  fmt::print(": {}\n", report.findings() == 0 ? "all well"
                                              : fmt::format("{} findings, {} repaired",
                                                            report.findings(), report.repaired()));
}

class Printer : public storage::CheckObserver {
 public:
  explicit Printer(const Globals& globals) : globals_(globals) {}
  void Found(const storage::CheckFinding& finding) override { Print(globals_, ToMessage(finding)); }

 private:
  const Globals& globals_;
};

absl::StatusOr<davit::v1::CheckReport> AskDaemon(const Globals& globals,
                                                 const CheckOptions& options) {
  Client client(globals.socket);
  davit::v1::CheckStorageRequest request;
  request.set_full(options.full);
  request.set_repair(options.repair);
  grpc::ClientContext context;
  auto reader = client.davit().CheckStorage(&context, request);
  davit::v1::CheckReport report;
  for (davit::v1::CheckStorageResponse message; reader->Read(&message);) {
    if (message.has_finding()) {
      Print(globals, message.finding());
    }
    if (message.has_report()) {
      report = message.report();
    }
  }
  RETURN_IF_ERROR(client.Translate(reader->Finish()));
  return report;
}

// Without a daemon: as the daemon would, under its lock.
absl::StatusOr<davit::v1::CheckReport> CheckAlone(const Globals& globals,
                                                  const CheckOptions& options) {
  ASSIGN_OR_RETURN(const config::Config config, LoadConfig(options.config_file));
  storage::Options where;
  where.root = config.storage.root;
  where.run = config.storage.run;
  where.additional_stores = config.storage.additional_stores;
  // Which run directory belongs to another root nobody says; containers there are left alone.
  const std::string scratch = fmt::format("/run/davit-check-{}", getpid());
  const absl::Cleanup remove = [&] { log::IfError(RemoveTree(scratch), "remove " + scratch); };
  if (!options.root.empty()) {
    where = {};
    where.root = options.root;
    where.run = scratch;
  }
  const std::string file = JoinPath(where.root, "davit.db");
  if (!PathExists(file)) {
    return NotFound("{} is no storage of davit: it has no davit.db", where.root);
  }
  ASSIGN_OR_RETURN(const UniqueFd lock, LockDirectory(where.root));
  ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, Db::Open(file));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Storage> store,
                   storage::Storage::Open(where, *db));
  Context ctx;
  Printer printer(globals);
  ASSIGN_OR_RETURN(const storage::CheckReport report,
                   store->Check(ctx, {.full = options.full, .repair = options.repair}, printer));
  store->AwaitDeletions();
  return ToMessage(report);
}

}  // namespace

absl::Status RunCheck(const Globals& globals, const CheckOptions& options, int* exit_code) {
  absl::StatusOr<davit::v1::CheckReport> report =
      options.root.empty() ? AskDaemon(globals, options) : absl::UnavailableError("");
  if (absl::IsUnavailable(report.status())) {
    report = CheckAlone(globals, options);
  }
  RETURN_IF_ERROR(report.status());
  Print(globals, *report, options.full);
  *exit_code = report->findings() > report->repaired() ? 2 : 0;
  return absl::OkStatus();
}

}  // namespace davit::server::cli
