// SPDX-License-Identifier: Apache-2.0
#include "base/db.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include <sqlite3.h>

#include "base/mount.h"
#include "base/subprocess.h"
#include "base/test_util.h"

namespace davit {
namespace {

const std::vector<Migration> kTables = {
    {"test", 1, "CREATE TABLE t(k TEXT PRIMARY KEY, v INTEGER, b BLOB) WITHOUT ROWID"}};

absl::Status Put(Db& db, const std::string& key, int64_t value, Db::Sync sync = Db::Sync::kNormal) {
  return db.Write(sync, [&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement put, tx.Prepare("INSERT INTO t(k, v) VALUES(?1, ?2)"));
    return put.Bind(1, key).Bind(2, value).Run();
  });
}

int64_t Count(Db& db) {
  int64_t count = -1;
  EXPECT_OK(db.Read([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement rows, tx.Prepare("SELECT count(*) FROM t"));
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    count = row ? rows.Int(0) : -1;
    return absl::OkStatus();
  }));
  return count;
}

int64_t Pragma(Db& db, const std::string& name) {
  int64_t value = -1;
  EXPECT_OK(db.Read([&](Transaction& tx) -> absl::Status {
    const std::string sql = "PRAGMA " + name;
    ASSIGN_OR_RETURN(Statement rows, tx.Prepare(sql.c_str()));
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    value = row ? rows.Int(0) : -1;
    return absl::OkStatus();
  }));
  return value;
}

class DbTest : public testing::Test {
 protected:
  void SetUp() override {
    auto db = Db::Open(path_);
    ASSERT_OK(db);
    db_ = *std::move(db);
    ASSERT_OK(db_->Migrate(kTables));
  }
  test::TempDir dir_;
  std::string path_ = dir_ / "davit.db";
  std::unique_ptr<Db> db_;
};

TEST_F(DbTest, FilesAreOursAlone) {
  ASSERT_OK(Put(*db_, "a", 1));
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat st = {};
    ASSERT_EQ(stat((path_ + suffix).c_str(), &st), 0) << suffix;
    EXPECT_EQ(st.st_mode & 0777U, 0600U) << suffix;
  }
}

TEST_F(DbTest, ValuesComeBack) {
  const std::string blob("\0\xff binary", 9);
  ASSERT_OK(db_->Write(Db::Sync::kFull, [&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement put, tx.Prepare("INSERT INTO t VALUES(?1, ?2, ?3)"));
    RETURN_IF_ERROR(put.Bind(1, "").Bind(2, INT64_MIN).BindBlob(3, blob).Run());
    EXPECT_EQ(tx.changes(), 1);
    ASSIGN_OR_RETURN(Statement nulls, tx.Prepare("INSERT INTO t VALUES(?1, ?2, ?3)"));
    return nulls.Bind(1, "n").BindNull(2).BindBlob(3, "").Run();
  }));
  ASSERT_OK(db_->Read([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement rows, tx.Prepare("SELECT k, v, b FROM t ORDER BY k"));
    EXPECT_TRUE(*rows.Step());
    EXPECT_EQ(rows.Text(0), "");
    EXPECT_FALSE(rows.IsNull(0));
    EXPECT_EQ(rows.Int(1), INT64_MIN);
    EXPECT_EQ(rows.Text(2), blob);
    EXPECT_TRUE(*rows.Step());
    EXPECT_TRUE(rows.IsNull(1));
    EXPECT_FALSE(rows.IsNull(2));
    EXPECT_EQ(rows.Text(2), "");
    EXPECT_FALSE(*rows.Step());
    return absl::OkStatus();
  }));
}

TEST_F(DbTest, AFailedBodyLeavesNothing) {
  const absl::Status status = db_->Write(Db::Sync::kNormal, [&](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(tx.Exec("INSERT INTO t(k) VALUES('x')"));
    return Unavailable("changed my mind");
  });
  EXPECT_EQ(status, Unavailable("changed my mind"));
  EXPECT_EQ(Count(*db_), 0);
  EXPECT_OK(Put(*db_, "x", 1));
  EXPECT_TRUE(absl::IsAlreadyExists(Put(*db_, "x", 2)));
  EXPECT_EQ(Count(*db_), 1);
}

TEST_F(DbTest, OneStatementMayBeUsedTwiceAtATime) {
  ASSERT_OK(Put(*db_, "a", 1));
  ASSERT_OK(Put(*db_, "b", 2));
  int pairs = 0;
  ASSERT_OK(db_->Read([&](Transaction& tx) -> absl::Status {
    const char* const sql = "SELECT k FROM t";
    ASSIGN_OR_RETURN(Statement outer, tx.Prepare(sql));
    while (*outer.Step()) {
      ASSIGN_OR_RETURN(Statement inner, tx.Prepare(sql));
      while (*inner.Step()) {
        ++pairs;
      }
    }
    return absl::OkStatus();
  }));
  EXPECT_EQ(pairs, 4);
}

TEST_F(DbTest, ErrorsNameTheStatement) {
  const absl::Status status = db_->Write(Db::Sync::kNormal, [&](Transaction& tx) {
    return tx.Prepare("SELECT nonsense FROM nowhere").status();
  });
  EXPECT_NE(Message(status).find("nowhere"), std::string::npos);
  const absl::Status unbound = db_->Write(Db::Sync::kNormal, [&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(Statement put, tx.Prepare("INSERT INTO t(k) VALUES(?1)"));
    return put.Bind(2, "x").Run();
  });
  EXPECT_FALSE(unbound.ok());
}

TEST_F(DbTest, SyncModeFollowsTheTransaction) {
  ASSERT_OK(Put(*db_, "a", 1, Db::Sync::kFull));
  EXPECT_EQ(Pragma(*db_, "synchronous"), 2);
  ASSERT_OK(Put(*db_, "b", 1, Db::Sync::kNormal));
  EXPECT_EQ(Pragma(*db_, "synchronous"), 1);
  ASSERT_OK(Put(*db_, "c", 1, Db::Sync::kFull));
  EXPECT_EQ(Pragma(*db_, "synchronous"), 2);
  EXPECT_EQ(Pragma(*db_, "foreign_keys"), 1);
}

TEST_F(DbTest, MigratesOnceInOrder) {
  std::vector<Migration> more = {
      {"test", 3, "INSERT INTO t(k, v) VALUES('three', 3)"},
      kTables[0],
      {"test", 2, "INSERT INTO t(k, v) VALUES('two', 2)"},
      {"other", 1, "CREATE TABLE o(x); CREATE TABLE p(x)"},
  };
  EXPECT_OK(db_->Migrate(more));
  EXPECT_OK(db_->Migrate(more));
  EXPECT_EQ(Count(*db_), 2);
  db_.reset();
  auto again = Db::Open(path_);
  ASSERT_OK(again);
  EXPECT_EQ((*again)->Migrate(kTables).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_OK((*again)->Migrate(more));
  more.push_back({"test", 4, "INSERT INTO t(k) VALUES('four'); SELECT broken"});
  EXPECT_FALSE((*again)->Migrate(more).ok());
  EXPECT_EQ(Count(**again), 2) << "half of a migration stayed";
}

TEST_F(DbTest, ThreadsTakeTurns) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_OK(Put(*db_, fmt::format("{}/{}", t, i), i));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(Count(*db_), 200);
}

TEST_F(DbTest, AnotherProcessMayReadAndItsLockIsNamed) {
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  EXPECT_OK(Put(*db_, "a", 1));
  EXPECT_EQ(sqlite3_exec(other, "SELECT * FROM t", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const absl::Status status = Put(*db_, "b", 1);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  sqlite3_close(other);
  EXPECT_OK(Put(*db_, "b", 1));
}

TEST_F(DbTest, DamageIsDataLossWithARemedy) {
  db_.reset();
  ASSERT_OK(WriteFileAtomic(path_, std::string(8192, 'x')));
  const absl::Status status = Db::Open(path_).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(Message(status).find(path_), std::string::npos);
  EXPECT_NE(Message(status).find("backup"), std::string::npos);
  EXPECT_FALSE(Db::Open(dir_ / "none/davit.db").ok());
}

TEST_F(DbTest, WhatIsCommittedSurvivesAKill) {
  db_.reset();
  const pid_t child = fork();  // single-threaded here
  if (child == 0) {
    auto db = Db::Open(path_);
    const bool ok = db.ok() && Put(**db, "a", 1).ok() && Put(**db, "b", 2, Db::Sync::kFull).ok();
    if (ok) {
      (void)(*db)->Write(Db::Sync::kNormal, [](Transaction& tx) {
        (void)tx.Exec("INSERT INTO t(k) VALUES('unfinished')");
        kill(getpid(), SIGKILL);
        return absl::OkStatus();
      });
    }
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  auto db = Db::Open(path_);
  ASSERT_OK(db);
  EXPECT_EQ(Count(**db), 2);
}

// In a thread with a mount namespace of its own.
TEST(Db, AFullDiskIsResourceExhaustedAndKeepsWhatWasThere) {
  if (!test::IsRoot()) {
    GTEST_SKIP() << "mounting needs root";
  }
  test::TempDir dir;
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_OK(MountTmpfs(dir.path(), 512U << 10U));
    auto db = Db::Open(dir / "davit.db");
    ASSERT_OK(db);
    ASSERT_OK((*db)->Migrate(kTables));
    ASSERT_OK(Put(**db, "first", 1));
    const absl::Status status = (*db)->Write(Db::Sync::kFull, [](Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(Statement put, tx.Prepare("INSERT INTO t(k, b) VALUES('big', ?1)"));
      return put.BindBlob(1, std::string(2U << 20U, 'x')).Run();
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(Count(**db), 1);
    EXPECT_OK(Put(**db, "after", 1));
    // Passing the error over must not commit the rest by itself.
    const absl::Status ignored = (*db)->Write(Db::Sync::kFull, [](Transaction& tx) -> absl::Status {
      RETURN_IF_ERROR(tx.Exec("INSERT INTO t(k) VALUES('x')"));
      (void)tx.Exec("INSERT INTO t(k, b) VALUES('big', zeroblob(3000000))");
      return tx.Exec("INSERT INTO t(k) VALUES('y')");
    });
    EXPECT_TRUE(!ignored.ok() || Count(**db) == 4) << ignored;
    db->reset();
    EXPECT_OK(Unmount(dir.path()));
  }).join();
}

// What a pod's removal writes must have room where nothing else has.
TEST(Db, AFullDiskTakesSmallRowsStill) {
  if (!test::IsRoot()) {
    GTEST_SKIP() << "mounting needs root";
  }
  test::TempDir dir;
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_OK(MountTmpfs(dir.path(), 16U << 20U));
    auto db = Db::Open(dir / "davit.db");
    ASSERT_OK(db);
    ASSERT_OK((*db)->Migrate(kTables));
    {
      const auto filler = Open(dir / "filler", O_WRONLY | O_CREAT, 0600);
      ASSERT_OK(filler);
      const std::string block(64U << 10U, 'x');
      while (write(filler->get(), block.data(), block.size()) > 0) {
      }
      ASSERT_EQ(errno, ENOSPC);
    }
    for (int i = 0; i < 200; ++i) {
      ASSERT_OK(Put(**db, "row" + std::to_string(i), i, Db::Sync::kFull));
    }
    EXPECT_EQ(Count(**db), 200);
    db->reset();
    EXPECT_OK(Unmount(dir.path()));
  }).join();
}

}  // namespace
}  // namespace davit
