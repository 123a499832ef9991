// SPDX-License-Identifier: Apache-2.0
#include "server/state/state_db.h"

#include <utility>

#include "base/db.h"
#include "base/status.h"

namespace davit::server {
namespace {

constexpr char kSchema[] =
    "CREATE TABLE sandboxes (id TEXT PRIMARY KEY, name TEXT NOT NULL, state INTEGER NOT NULL,"
    " record BLOB NOT NULL) STRICT;"
    "CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT NOT NULL, state INTEGER NOT NULL,"
    " record BLOB NOT NULL) STRICT;";

// name and state stand beside the record for the reader of the file; the record is the truth.
template <typename Record>
absl::Status SaveRecord(Db& db, const char* sql, const Record& record) {
  std::string bytes;
  if (!record.SerializeToString(&bytes)) {
    return Internal("record {} cannot be serialized", record.id());
  }
  return db.Write(Db::Sync::kNormal, [&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement statement, tx.Prepare(sql));
    statement.Bind(1, std::string_view(record.id()));
    statement.Bind(2, std::string_view(record.name()));
    statement.Bind(3, static_cast<int64_t>(record.state()));
    statement.BindBlob(4, bytes);
    return statement.Run();
  });
}

absl::Status DeleteRow(Db& db, const char* sql, const std::string& id) {
  return db.Write(Db::Sync::kNormal, [&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement statement, tx.Prepare(sql));
    statement.Bind(1, std::string_view(id));
    return statement.Run();
  });
}

template <typename Record>
absl::Status LoadRows(Transaction& tx, const char* sql, const char* kind,
                      std::vector<Record>& records, std::vector<std::string>& damaged) {
  ASSIGN_OR_RETURN(Statement statement, tx.Prepare(sql));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) {
      return absl::OkStatus();
    }
    Record record;
    const std::string id = statement.Text(0);
    if (record.ParseFromString(statement.Text(1)) && record.id() == id) {
      records.push_back(std::move(record));
    } else {
      damaged.push_back(fmt::format("{} {}", kind, id));
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateDb>> StateDb::Open(Db& db) {
  RETURN_IF_ERROR(db.Migrate({{"state", 1, kSchema}}));
  return std::unique_ptr<StateDb>(new StateDb(db));
}

absl::Status StateDb::Save(const SandboxRecord& record) {
  return Annotate(
      SaveRecord(db_, "INSERT OR REPLACE INTO sandboxes (id, name, state, record) VALUES (?,?,?,?)",
                 record),
      "save sandbox " + record.id());
}

absl::Status StateDb::Save(const ContainerRecord& record) {
  return Annotate(
      SaveRecord(db_,
                 "INSERT OR REPLACE INTO containers (id, name, state, record) VALUES (?,?,?,?)",
                 record),
      "save container " + record.id());
}

absl::Status StateDb::DeleteSandbox(const std::string& id) {
  return DeleteRow(db_, "DELETE FROM sandboxes WHERE id = ?", id);
}

absl::Status StateDb::DeleteContainer(const std::string& id) {
  return DeleteRow(db_, "DELETE FROM containers WHERE id = ?", id);
}

absl::StatusOr<bool> StateDb::HasSandbox(const std::string& id) {
  bool found = false;
  RETURN_IF_ERROR(db_.Read([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement statement, tx.Prepare("SELECT 1 FROM sandboxes WHERE id = ?"));
    statement.Bind(1, std::string_view(id));
    ASSIGN_OR_RETURN(found, statement.Step());
    return absl::OkStatus();
  }));
  return found;
}

absl::StatusOr<StateDb::All> StateDb::LoadAll() {
  All all;
  const absl::Status read = db_.Read([&all](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(LoadRows(tx, "SELECT id, record FROM sandboxes ORDER BY id", "sandbox",
                             all.sandboxes, all.damaged));
    return LoadRows(tx, "SELECT id, record FROM containers ORDER BY id", "container",
                    all.containers, all.damaged);
  });
  RETURN_IF_ERROR(read);
  return all;
}

}  // namespace davit::server
