// SPDX-License-Identifier: Apache-2.0
//
// Takes an image archive in as it streams by. Which member is what, only its index says, and that
// may come last: so documents are kept in memory (bounded), and whatever looks like a layer is
// applied at once. Names are keys, never paths. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "storage/byte_source.h"
#include "storage/storage.h"

namespace davit::image {

struct ArchiveMember {
  Digest digest;         // of its bytes
  std::string document;  // JSON; "" for anything else
  // A layer: its diff ID, and what was applied unless the store had it already.
  Digest diff_id;
  std::shared_ptr<storage::PendingLayer> layer;
  absl::Status damage;  // why it is none, although it looks like one
};

class ArchiveContents {
 public:
  // Follows the links of the archive. Null if there is no such member.
  [[nodiscard]] const ArchiveMember* Find(const std::string& name) const;
  [[nodiscard]] const ArchiveMember* FindBlob(const Digest& digest) const;

 private:
  friend class ArchiveReader;
  std::map<std::string, ArchiveMember> members_;
  std::map<std::string, std::string> links_;
};

// Reads to the end. InvalidArgument for what is no tar, has names with "..", or more or larger
// documents than any archive needs; DataLoss for a blob whose digest is not its name.
absl::StatusOr<ArchiveContents> ReadArchive(Context& ctx, storage::Storage& storage,
                                            storage::ByteSource& source);

}  // namespace davit::image
