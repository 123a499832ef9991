// SPDX-License-Identifier: Apache-2.0
#include "image/signature/signature_store.h"

#include "base/db.h"
#include "base/status.h"
#include "base/time.h"

namespace davit::image {
namespace {

constexpr int64_t kDayNs = int64_t{24} * 3600 * 1'000'000'000;

const std::vector<Migration>& Migrations() {
  static const std::vector<Migration> migrations = {
      {"signatures", 1,
       "CREATE TABLE signatures ("
       "  manifest TEXT NOT NULL, position INTEGER NOT NULL, kind INTEGER NOT NULL,"
       "  origin TEXT NOT NULL, message BLOB NOT NULL, signature TEXT NOT NULL,"
       "  certificate TEXT NOT NULL, chain TEXT NOT NULL, bundle TEXT NOT NULL,"
       "  stored_at_ns INTEGER NOT NULL, PRIMARY KEY (manifest, position)) WITHOUT ROWID"}};
  return migrations;
}

absl::Status Insert(Transaction& tx, const std::string& manifest, int64_t position,
                    const Signature& signature) {
  ASSIGN_OR_RETURN(Statement insert,
                   tx.Prepare("INSERT INTO signatures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  return insert.Bind(1, manifest)
      .Bind(2, position)
      .Bind(3, static_cast<int64_t>(signature.kind))
      .Bind(4, signature.origin)
      .BindBlob(5, signature.message)
      .Bind(6, signature.signature)
      .Bind(7, signature.certificate)
      .Bind(8, signature.chain)
      .Bind(9, signature.bundle)
      .Bind(10, NowNanos())
      .Run();
}

absl::Status Delete(Transaction& tx, const std::string& manifest) {
  ASSIGN_OR_RETURN(Statement remove, tx.Prepare("DELETE FROM signatures WHERE manifest = ?"));
  return remove.Bind(1, manifest).Run();
}

Signature ReadRow(const Statement& row) {
  return {.kind = static_cast<Signature::Kind>(row.Int(0)),
          .origin = row.Text(1),
          .message = row.Text(2),
          .signature = row.Text(3),
          .certificate = row.Text(4),
          .chain = row.Text(5),
          .bundle = row.Text(6)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignatureStore>> SignatureStore::Open(Db& db) {
  RETURN_IF_ERROR(db.Migrate(Migrations()));
  return std::unique_ptr<SignatureStore>(new SignatureStore(db));
}

absl::Status SignatureStore::Put(const Digest& manifest, const std::vector<Signature>& signatures) {
  // As durable as the image whose record follows.
  return db_.Write(Db::Sync::kFull, [&](Transaction& tx) {
    RETURN_IF_ERROR(Delete(tx, manifest.text()));
    int64_t position = 0;
    for (const Signature& signature : signatures) {
      RETURN_IF_ERROR(Insert(tx, manifest.text(), position++, signature));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<Signature>> SignatureStore::Get(const Digest& manifest) const {
  std::vector<Signature> signatures;
  RETURN_IF_ERROR(db_.Read([&](Transaction& tx) {
    ASSIGN_OR_RETURN(
        Statement rows,
        tx.Prepare("SELECT kind, origin, message, signature, certificate, chain, bundle "
                   "FROM signatures WHERE manifest = ? ORDER BY position"));
    rows.Bind(1, manifest.text());
    while (true) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) {
        return absl::OkStatus();
      }
      signatures.push_back(ReadRow(rows));
    }
  }));
  return signatures;
}

absl::Status SignatureStore::Sweep(const std::function<bool(const std::string&)>& in_use) {
  return db_.Write(Db::Sync::kNormal, [&](Transaction& tx) {
    std::vector<std::string> unused;
    {
      ASSIGN_OR_RETURN(Statement rows, tx.Prepare("SELECT manifest FROM signatures GROUP BY "
                                                  "manifest HAVING max(stored_at_ns) < ?"));
      rows.Bind(1, NowNanos() - kDayNs);
      while (true) {
        ASSIGN_OR_RETURN(const bool row, rows.Step());
        if (!row) {
          break;
        }
        if (std::string manifest = rows.Text(0); !in_use(manifest)) {
          unused.push_back(std::move(manifest));
        }
      }
    }
    for (const std::string& manifest : unused) {
      RETURN_IF_ERROR(Delete(tx, manifest));
    }
    return absl::OkStatus();
  });
}

}  // namespace davit::image
