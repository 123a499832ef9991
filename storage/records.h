// SPDX-License-Identifier: Apache-2.0
//
// The rows of this module in davit.db, and the immutable snapshot that reads answer from. A change
// is written to the database first; then a new snapshot takes the place of the old one. The
// tables of a snapshot are shared with the one before unless they changed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "base/db.h"
#include "base/digest.h"
#include "storage/layer_flags.h"
#include "storage/storage.h"

namespace davit::storage {

struct LayerRecord {
  LayerInfo info;
  uint32_t flags = 0;
  // What its directory occupies; 0 inodes: not measured yet.
  uint64_t disk_bytes = 0;
  uint64_t disk_inodes = 0;
  std::string store = {};  // the root of the additional store that it lies in; "": ours
};

struct LayerTable {
  std::map<Digest, LayerRecord> by_id;
  std::map<Digest, Digest> by_blob;  // one layer may have come in several compressions
};

struct ImageTable {
  std::map<std::string, std::shared_ptr<const ImageRecord>> by_id;
  std::map<std::string, std::string> by_name;  // tags and digests -> image ID
};

struct RootfsRecord {
  std::string image_id;
  uint64_t size_limit = 0;  // bytes; 0: none
  uint32_t project_id = 0;  // of the quota; 0: none
  IdMappings mappings;
  bool operator==(const RootfsRecord&) const = default;
};

using RootfsTable = std::map<std::string, RootfsRecord>;  // by container ID

// Container ID -> IDs of the images that are mounted for it as volumes.
using VolumeTable = std::map<std::string, std::set<std::string>>;

struct Snapshot {
  std::shared_ptr<const LayerTable> layers = std::make_shared<LayerTable>();
  std::shared_ptr<const ImageTable> images = std::make_shared<ImageTable>();
  std::shared_ptr<const RootfsTable> rootfs = std::make_shared<RootfsTable>();
  std::shared_ptr<const VolumeTable> volumes = std::make_shared<VolumeTable>();
};

// storage's tables, every version from the first.
const std::vector<Migration>& Migrations();

// DataLoss for a row that no version of this module can have written.
absl::StatusOr<Snapshot> LoadSnapshot(Db& db);

absl::Status PutLayer(Transaction& tx, const LayerRecord& layer);
absl::Status PutBlob(Transaction& tx, const Digest& blob, const Digest& diff_id);
absl::Status DeleteLayer(Transaction& tx, const Digest& diff_id);  // with its blobs
// Row and list of layers, without names.
absl::Status PutImage(Transaction& tx, const ImageRecord& image);
absl::Status DeleteImage(Transaction& tx, const std::string& id);  // with layers' list and names
absl::Status PutName(Transaction& tx, const std::string& name, const std::string& image_id,
                     bool is_digest);
absl::Status DeleteName(Transaction& tx, const std::string& name);
absl::Status PutRootfs(Transaction& tx, const std::string& container_id,
                       const RootfsRecord& rootfs);
absl::Status DeleteRootfs(Transaction& tx, const std::string& container_id);
absl::Status PutVolume(Transaction& tx, const std::string& container_id,
                       const std::string& image_id);
absl::Status DeleteVolume(Transaction& tx, const std::string& container_id,
                          const std::string& image_id);

// "repository@digest" rather than "repository:tag".
[[nodiscard]] bool IsDigestName(std::string_view name);

}  // namespace davit::storage
