// SPDX-License-Identifier: Apache-2.0
//
// SQLite in WAL mode: one connection, one writer at a time, prepared statements kept. Used for
// davit.db, the one place of truth on disk. A transaction is durable (synchronous=FULL, on the disk
// when Commit returns) or not (synchronous=NORMAL: survives a killed process, may be lost in a
// power cut, never corrupts): image and layer records are durable, pod and container state is not,
// since a reboot ends all of it anyway. Thread-safe: a transaction holds the connection's mutex
// from Begin to its end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace davit {

// One use of a prepared statement; resets it when destroyed. Parameters are numbered from 1,
// columns from 0. Lives no longer than its transaction.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, std::string_view text);
  Statement& BindBlob(int index, std::string_view bytes);
  Statement& BindNull(int index);

  // True while there is a row.
  absl::StatusOr<bool> Step();
  // Step for statements that return nothing.
  absl::Status Run();

  [[nodiscard]] int64_t Int(int column) const;
  [[nodiscard]] std::string Text(int column) const;  // also blobs
  [[nodiscard]] bool IsNull(int column) const;

 private:
  friend class Transaction;
  Statement(sqlite3* db, sqlite3_stmt* stmt, bool* in_use)
      : db_(db), stmt_(stmt), in_use_(in_use) {}
  sqlite3* db_;
  sqlite3_stmt* stmt_;
  bool* in_use_;  // of the kept statement; null: not kept, finalized when destroyed
  int bind_error_ = 0;
};

class Db;

class Transaction {
 public:
  // Prepares (or reuses) `sql`, a string literal.
  absl::StatusOr<Statement> Prepare(const char* sql);
  absl::Status Exec(const std::string& sql);
  [[nodiscard]] int64_t changes() const;

 private:
  friend class Db;
  explicit Transaction(Db& db) : db_(db) {}
  Db& db_;
};

struct Migration {
  const char* module;  // e.g. "storage"
  int version;         // 1, 2, …: applied in order, each once, in a transaction of its own
  const char* sql;
};

class Db {
 public:
  // Opens or creates the file (0600). FailedPrecondition if another process holds the lock,
  // DataLoss with the remedy if the file is damaged.
  static absl::StatusOr<std::unique_ptr<Db>> Open(const std::string& path);
  ~Db();
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  // FailedPrecondition if the file has a newer version than the program knows.
  absl::Status Migrate(const std::vector<Migration>& migrations);

  enum class Sync { kFull, kNormal };
  // BEGIN IMMEDIATE, `body`, COMMIT; ROLLBACK if the body fails. A full disk is ResourceExhausted.
  absl::Status Write(Sync sync, const std::function<absl::Status(Transaction&)>& body);
  absl::Status Read(const std::function<absl::Status(Transaction&)>& body);

 private:
  friend class Transaction;
  Db();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace davit
