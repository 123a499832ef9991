// SPDX-License-Identifier: Apache-2.0
//
// The records of pods and containers on disk: tables `sandboxes` and `containers` of davit.db. Each
// save is one transaction; it survives a killed daemon, and may be lost in a power cut, which ends
// every pod anyway. A record is saved before the snapshot in memory is swapped.
// Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "server/state/state.pb.h"

namespace davit {
class Db;
}

namespace davit::server {

class StateDb {
 public:
  using SandboxRecord = davit::state::v1::SandboxRecord;
  using ContainerRecord = davit::state::v1::ContainerRecord;

  struct All {
    std::vector<SandboxRecord> sandboxes;
    std::vector<ContainerRecord> containers;
    std::vector<std::string> damaged;  // "container 1a2b…": rows that are no record
  };

  // Makes the tables. The Db outlives the StateDb.
  static absl::StatusOr<std::unique_ptr<StateDb>> Open(Db& db);

  absl::Status Save(const SandboxRecord& record);
  absl::Status Save(const ContainerRecord& record);
  // A missing row is success.
  absl::Status DeleteSandbox(const std::string& id);
  absl::Status DeleteContainer(const std::string& id);

  absl::StatusOr<All> LoadAll();
  // Whether there is a row of it, whatever its state.
  absl::StatusOr<bool> HasSandbox(const std::string& id);

 private:
  explicit StateDb(Db& db) : db_(db) {}
  Db& db_;
};

}  // namespace davit::server
