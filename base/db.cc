// SPDX-License-Identifier: Apache-2.0
#include "base/db.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include <sqlite3.h>

#include "base/file.h"
#include "base/status.h"

namespace davit {
namespace {

// An operator's sqlite3 may hold the lock for a moment; the kubelet's deadlines are far longer.
constexpr int kBusyTimeoutMs = 2000;

constexpr const char* kPragmas =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA foreign_keys=ON;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-512;"  // KiB: the database is small and the page cache of the kernel near
    "PRAGMA journal_size_limit=4194304;"  // kReservedLog
    "CREATE TABLE IF NOT EXISTS schema_versions("
    "  module TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;";

// SQLite checkpoints at a thousand pages, so that the log rarely grows longer.
constexpr off_t kReservedLog = off_t{4} << 20U;
constexpr int kReservedChunk = 1 << 20;

absl::StatusCode CodeOfSqlite(sqlite3* db, int rc) {
  const int system_error = db != nullptr ? sqlite3_system_errno(db) : 0;
  switch (rc & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_IOERR:
      return system_error == ENOSPC || system_error == EDQUOT ? absl::StatusCode::kResourceExhausted
                                                              : absl::StatusCode::kInternal;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kFailedPrecondition;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CONSTRAINT:
      return rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_UNIQUE ||
                     rc == SQLITE_CONSTRAINT_ROWID
                 ? absl::StatusCode::kAlreadyExists
                 : absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

const char* RemedyOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kDataLoss:
      return "; the file is damaged: stop the daemon, restore the file from a backup or move it "
             "and "
             "its -wal and -shm files away, and start again";
    case absl::StatusCode::kResourceExhausted:
      return "; free some disk space and retry";
    case absl::StatusCode::kUnavailable:
      return "; another process holds the database's lock";
    default:
      return "";
  }
}

absl::Status SqliteStatus(sqlite3* db, const std::string& what) {
  const int rc = sqlite3_extended_errcode(db);
  const absl::StatusCode code = CodeOfSqlite(db, rc);
  const char* const name = sqlite3_db_filename(db, "main");
  std::string text = what;
  if (name != nullptr && *name != '\0') {
    text += fmt::format(" (database {})", name);
  }
  return absl::Status(code, fmt::format("{}: {}{}", text, sqlite3_errmsg(db), RemedyOf(code)));
}

absl::Status ExecSql(sqlite3* db, const char* sql, const std::string& what) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return SqliteStatus(db, what);
  }
  return absl::OkStatus();
}

// SQLite would give the file the umask's mode, and would not sync the directory.
absl::Status CreateFileFor(const std::string& path) {
  if (PathExists(path)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Open(path, O_RDWR | O_CREAT, 0600).status());
  const std::string dir = path.substr(0, std::max<size_t>(path.rfind('/') + 1, 1));
  ASSIGN_OR_RETURN(UniqueFd fd, Open(dir[0] == '/' ? dir : ".", O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) {
    return ErrnoStatus(errno, "sync directory " + dir);
  }
  return absl::OkStatus();
}

// Disk space that writes will need, taken now and kept: on a full disk pods must still be
// removable, which is what makes room. Only as good as the file system: without fallocate there is
// none.
void ReserveSpace(sqlite3* db, const std::string& path) {
  int persist = 1;
  int chunk = kReservedChunk;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  sqlite3_file_control(db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
  if (const auto log = Open(path + "-wal", O_RDWR); log.ok()) {
    (void)fallocate(log->get(), FALLOC_FL_KEEP_SIZE, 0, kReservedLog);
  }
}

}  // namespace

struct Db::Impl {
  struct Cached {
    sqlite3_stmt* stmt = nullptr;
    bool in_use = false;
  };

  absl::Mutex mutex;
  sqlite3* db = nullptr;
  // Entries stay where they are: a Statement points into its entry.
  std::map<std::string, Cached, std::less<>> statements ABSL_GUARDED_BY(mutex);
  Sync sync = Sync::kFull;

  absl::Status Begin(Sync wanted, const char* begin) {
    if (wanted != sync) {  // may not change within a transaction
      RETURN_IF_ERROR(ExecSql(
          db, wanted == Sync::kFull ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
          "set the durability of a transaction"));
      sync = wanted;
    }
    return ExecSql(db, begin, "begin a transaction");
  }

  void Rollback() {
    // SQLite itself has rolled back after some errors, as a full disk.
    if (sqlite3_get_autocommit(db) == 0) {
      sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr);
    }
  }

  absl::Status Finish(const absl::Status& body_status) {
    if (!body_status.ok()) {
      Rollback();
      return body_status;
    }
    if (sqlite3_get_autocommit(db) != 0) {
      return Internal("the transaction ended within its body: an error in it was passed over");
    }
    absl::Status status = ExecSql(db, "COMMIT", "commit a transaction");
    if (!status.ok()) {
      Rollback();
    }
    return status;
  }
};

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_),
      stmt_(std::exchange(other.stmt_, nullptr)),
      in_use_(std::exchange(other.in_use_, nullptr)),
      bind_error_(other.bind_error_) {}

Statement::~Statement() {
  if (stmt_ == nullptr) {
    return;
  }
  if (in_use_ == nullptr) {
    sqlite3_finalize(stmt_);
    return;
  }
  sqlite3_reset(stmt_);
  sqlite3_clear_bindings(stmt_);  // lets go of large values
  *in_use_ = false;
}

Statement& Statement::Bind(int index, int64_t value) {
  bind_error_ = bind_error_ != 0 ? bind_error_ : sqlite3_bind_int64(stmt_, index, value);
  return *this;
}

Statement& Statement::Bind(int index, std::string_view text) {
  // An empty string_view may have no data, which would bind NULL.
  const char* const data = text.empty() ? "" : text.data();
  bind_error_ = bind_error_ != 0 ? bind_error_
                                 : sqlite3_bind_text64(stmt_, index, data, text.size(),
                                                       SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::BindBlob(int index, std::string_view bytes) {
  const char* const data = bytes.empty() ? "" : bytes.data();
  bind_error_ = bind_error_ != 0
                    ? bind_error_
                    : sqlite3_bind_blob64(stmt_, index, data, bytes.size(), SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::BindNull(int index) {
  bind_error_ = bind_error_ != 0 ? bind_error_ : sqlite3_bind_null(stmt_, index);
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (bind_error_ != 0) {
    return Internal("bind a parameter of '{}': {}", sqlite3_sql(stmt_),
                    sqlite3_errstr(bind_error_));
  }
  const int rc = sqlite3_step(stmt_);
  if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
    return rc == SQLITE_ROW;
  }
  return SqliteStatus(db_, fmt::format("run '{}'", sqlite3_sql(stmt_)));
}

absl::Status Statement::Run() {
  while (true) {
    ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) {
      return absl::OkStatus();
    }
  }
}

int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(stmt_, column);
}

std::string Statement::Text(int column) const {
  // The blob access first: it converts nothing, and the length is that of what it returned.
  const void* const data = sqlite3_column_blob(stmt_, column);
  const int size = sqlite3_column_bytes(stmt_, column);
  if (data == nullptr || size <= 0) {
    return "";
  }
  return std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(stmt_, column) == SQLITE_NULL;
}

absl::StatusOr<Statement> Transaction::Prepare(const char* sql) {
  Db::Impl& impl = *db_.impl_;
  impl.mutex.AssertHeld();
  const std::string_view key = sql;
  auto entry = impl.statements.find(key);
  if (entry != impl.statements.end() && !entry->second.in_use) {
    entry->second.in_use = true;
    return Statement(impl.db, entry->second.stmt, &entry->second.in_use);
  }
  sqlite3_stmt* stmt = nullptr;
  if (sqlite3_prepare_v3(impl.db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, nullptr) !=
      SQLITE_OK) {
    return SqliteStatus(impl.db, fmt::format("prepare '{}'", sql));
  }
  if (stmt == nullptr) {
    return Internal("prepare '{}': there is no statement in it", sql);
  }
  if (entry != impl.statements.end()) {
    return Statement(impl.db, stmt, nullptr);  // a second use at the same time: not kept
  }
  entry = impl.statements.emplace(key, Db::Impl::Cached{stmt, true}).first;
  return Statement(impl.db, stmt, &entry->second.in_use);
}

absl::Status Transaction::Exec(const std::string& sql) {
  return ExecSql(db_.impl_->db, sql.c_str(), "run '" + sql.substr(0, 200) + "'");
}

int64_t Transaction::changes() const {
  return sqlite3_changes64(db_.impl_->db);
}

Db::Db() : impl_(std::make_unique<Impl>()) {}

Db::~Db() {
  absl::MutexLock lock(&impl_->mutex);
  for (auto& [sql, cached] : impl_->statements) {
    sqlite3_finalize(cached.stmt);
  }
  sqlite3_close_v2(impl_->db);
}

absl::StatusOr<std::unique_ptr<Db>> Db::Open(const std::string& path) {
  RETURN_IF_ERROR(CreateFileFor(path));
  std::unique_ptr<Db> db(new Db());
  // Our own mutex guards the connection.
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2(path.c_str(), &db->impl_->db, kFlags, nullptr) != SQLITE_OK) {
    return SqliteStatus(db->impl_->db, "open database " + path);
  }
  sqlite3_busy_timeout(db->impl_->db, kBusyTimeoutMs);
  if (absl::Status status = ExecSql(db->impl_->db, kPragmas, "open"); !status.ok()) {
    return absl::IsUnavailable(status) ? WithCode(absl::StatusCode::kFailedPrecondition, status)
                                       : status;
  }
  ReserveSpace(db->impl_->db, path);
  return db;
}

absl::Status Db::Migrate(const std::vector<Migration>& migrations) {
  std::map<std::string, int64_t> known;
  for (const Migration& migration : migrations) {
    int64_t& newest = known[migration.module];
    newest = std::max<int64_t>(newest, migration.version);
  }
  std::map<std::string, int64_t> present;
  RETURN_IF_ERROR(Read([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement rows, tx.Prepare("SELECT module, version FROM schema_versions"));
    while (true) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) {
        return absl::OkStatus();
      }
      present[rows.Text(0)] = rows.Int(1);
    }
  }));
  for (const auto& [module, newest] : known) {
    if (present[module] > newest) {
      return FailedPrecondition(
          "the database has version {} of the tables of '{}', this program knows {}: it was "
          "written "
          "by a newer version; start that one",
          present[module], module, newest);
    }
  }
  std::vector<Migration> pending;
  std::copy_if(migrations.begin(), migrations.end(), std::back_inserter(pending),
               [&](const Migration& m) { return m.version > present[m.module]; });
  std::stable_sort(pending.begin(), pending.end(),
                   [](const Migration& a, const Migration& b) { return a.version < b.version; });
  for (const Migration& migration : pending) {
    absl::Status status = Write(Sync::kFull, [&](Transaction& tx) -> absl::Status {
      RETURN_IF_ERROR(tx.Exec(migration.sql));
      ASSIGN_OR_RETURN(Statement record,
                       tx.Prepare("INSERT OR REPLACE INTO schema_versions VALUES(?1, ?2)"));
      return record.Bind(1, std::string_view(migration.module))
          .Bind(2, int64_t{migration.version})
          .Run();
    });
    RETURN_IF_ERROR(Annotate(
        status, fmt::format("migrate '{}' to version {}", migration.module, migration.version)));
  }
  return absl::OkStatus();
}

absl::Status Db::Write(Sync sync, const std::function<absl::Status(Transaction&)>& body) {
  absl::MutexLock lock(&impl_->mutex);
  RETURN_IF_ERROR(impl_->Begin(sync, "BEGIN IMMEDIATE"));
  Transaction tx(*this);
  return impl_->Finish(body(tx));
}

absl::Status Db::Read(const std::function<absl::Status(Transaction&)>& body) {
  absl::MutexLock lock(&impl_->mutex);
  RETURN_IF_ERROR(impl_->Begin(impl_->sync, "BEGIN"));
  Transaction tx(*this);
  return impl_->Finish(body(tx));
}

}  // namespace davit
