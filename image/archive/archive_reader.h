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
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "image/artifact/artifact_manifest.h"
#include "storage/byte_source.h"
#include "storage/storage.h"

namespace davit::image {

// A file of an artifact, as image/artifact/artifact_manifest.h describes it, in a layer of its own.
struct ArchiveFile {
  std::string path;
  Digest diff_id;
  std::shared_ptr<storage::PendingLayer> layer;  // null: the store had it already
};

struct ArchiveMember {
  Digest digest;         // of its bytes
  std::string document;  // JSON, or anything that is small; "" for what is neither
  // For the artifacts whose manifests came before; more than one if they call it differently.
  std::vector<ArchiveFile> files;
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
// documents than any archive needs; DataLoss for a blob whose digest is not its name. Files of
// artifacts that are large have to come after the manifest.
absl::StatusOr<ArchiveContents> ReadArchive(Context& ctx, storage::Storage& storage,
                                            storage::ByteSource& source);

// `bytes` as the layer of a file; for what was kept as a document.
absl::StatusOr<ArchiveFile> MakeFileLayer(storage::Storage& storage, const ArtifactFile& file,
                                          const std::string& bytes);

}  // namespace davit::image
