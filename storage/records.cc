// SPDX-License-Identifier: Apache-2.0
#include "storage/records.h"

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"

namespace davit::storage {
namespace {

constexpr char kVersion1[] = R"sql(
CREATE TABLE layers (
  diff_id TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  files INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  created_at_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE layer_blobs (
  blob TEXT PRIMARY KEY,
  diff_id TEXT NOT NULL REFERENCES layers(diff_id)
) WITHOUT ROWID;
CREATE INDEX layer_blobs_diff_id ON layer_blobs(diff_id);
CREATE TABLE images (
  id TEXT PRIMARY KEY,
  config BLOB NOT NULL,
  manifest BLOB NOT NULL,
  size INTEGER NOT NULL,
  pulled_at_ns INTEGER NOT NULL,
  pinned INTEGER NOT NULL
);
CREATE TABLE image_layers (
  image_id TEXT NOT NULL REFERENCES images(id),
  position INTEGER NOT NULL,
  diff_id TEXT NOT NULL REFERENCES layers(diff_id),
  PRIMARY KEY (image_id, position)
) WITHOUT ROWID;
CREATE TABLE image_names (
  name TEXT PRIMARY KEY,
  image_id TEXT NOT NULL REFERENCES images(id),
  is_digest INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX image_names_image_id ON image_names(image_id);
CREATE TABLE containers_fs (
  container_id TEXT PRIMARY KEY,
  image_id TEXT NOT NULL,
  created_at_ns INTEGER NOT NULL
) WITHOUT ROWID;
)sql";

// Who has which image mounted as a volume; and what kind of OCI artifact an image is, if it is one.
constexpr char kVersion2[] = R"sql(
CREATE TABLE image_volumes (
  container_id TEXT NOT NULL,
  image_id TEXT NOT NULL,
  created_at_ns INTEGER NOT NULL,
  PRIMARY KEY (container_id, image_id)
) WITHOUT ROWID;
ALTER TABLE images ADD COLUMN artifact_type TEXT NOT NULL DEFAULT '';
)sql";

// Mappings are text: "INSIDE:OUTSIDE:COUNT[,…]".
constexpr char kVersion3[] = R"sql(
ALTER TABLE containers_fs ADD COLUMN size_limit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers_fs ADD COLUMN project_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers_fs ADD COLUMN uid_map TEXT NOT NULL DEFAULT '';
ALTER TABLE containers_fs ADD COLUMN gid_map TEXT NOT NULL DEFAULT '';
)sql";

// What the directory of a layer occupies.
constexpr char kVersion4[] = R"sql(
ALTER TABLE layers ADD COLUMN disk_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE layers ADD COLUMN disk_inodes INTEGER NOT NULL DEFAULT 0;
)sql";

std::string MapText(const std::vector<IdRange>& ranges) {
  std::string text;
  for (const IdRange& range : ranges) {
    text += fmt::format("{}{}:{}:{}", text.empty() ? "" : ",", range.inside, range.outside,
                        range.count);
  }
  return text;
}

absl::StatusOr<std::vector<IdRange>> ParseMap(const std::string& text) {
  std::vector<IdRange> ranges;
  for (const std::string& part : Split(text, ',')) {
    const std::vector<std::string> fields = Split(part, ':');
    if (fields.size() == 1 && fields[0].empty()) {
      continue;
    }
    IdRange range;
    uint32_t* const into[] = {&range.inside, &range.outside, &range.count};
    for (size_t i = 0; i < 3; ++i) {
      const auto number = fields.size() == 3 ? ParseUint(fields[i]) : std::nullopt;
      if (!number || *number > UINT32_MAX) {
        return DataLoss("table containers_fs holds a malformed ID mapping '{}'", Printable(text));
      }
      *into[i] = static_cast<uint32_t>(*number);
    }
    ranges.push_back(range);
  }
  return ranges;
}

absl::StatusOr<Digest> StoredDigest(const std::string& text, const char* table) {
  absl::StatusOr<Digest> digest = Digest::Parse(text);
  if (!digest.ok()) {
    return DataLoss("table {} holds a malformed digest: {}", table, Message(digest.status()));
  }
  return digest;
}

absl::StatusOr<std::shared_ptr<LayerTable>> LoadLayers(Transaction& tx) {
  auto table = std::make_shared<LayerTable>();
  ASSIGN_OR_RETURN(
      Statement rows,
      tx.Prepare("SELECT diff_id, size, files, flags, disk_bytes, disk_inodes FROM layers"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) {
      break;
    }
    LayerRecord layer;
    ASSIGN_OR_RETURN(layer.info.diff_id, StoredDigest(rows.Text(0), "layers"));
    layer.info.size = static_cast<uint64_t>(rows.Int(1));
    layer.info.files = static_cast<uint64_t>(rows.Int(2));
    layer.flags = static_cast<uint32_t>(rows.Int(3));
    layer.disk_bytes = static_cast<uint64_t>(rows.Int(4));
    layer.disk_inodes = static_cast<uint64_t>(rows.Int(5));
    table->by_id[layer.info.diff_id] = layer;
  }
  ASSIGN_OR_RETURN(Statement blobs, tx.Prepare("SELECT blob, diff_id FROM layer_blobs"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, blobs.Step());
    if (!more) {
      return table;
    }
    ASSIGN_OR_RETURN(const Digest blob, StoredDigest(blobs.Text(0), "layer_blobs"));
    ASSIGN_OR_RETURN(const Digest diff_id, StoredDigest(blobs.Text(1), "layer_blobs"));
    if (auto it = table->by_id.find(diff_id); it != table->by_id.end()) {
      it->second.info.blob = blob;
      table->by_blob[blob] = diff_id;
    }
  }
}

absl::Status LoadImageLayers(Transaction& tx, std::map<std::string, ImageRecord>& images) {
  ASSIGN_OR_RETURN(
      Statement rows,
      tx.Prepare("SELECT image_id, diff_id FROM image_layers ORDER BY image_id, position"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const Digest diff_id, StoredDigest(rows.Text(1), "image_layers"));
    if (auto it = images.find(rows.Text(0)); it != images.end()) {
      it->second.layers.push_back(diff_id);
    }
  }
}

absl::Status LoadNames(Transaction& tx, std::map<std::string, ImageRecord>& images) {
  ASSIGN_OR_RETURN(Statement rows,
                   tx.Prepare("SELECT name, image_id, is_digest FROM image_names ORDER BY name"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) {
      return absl::OkStatus();
    }
    if (auto it = images.find(rows.Text(1)); it != images.end()) {
      auto& names = rows.Int(2) != 0 ? it->second.digests : it->second.tags;
      names.push_back(rows.Text(0));
    }
  }
}

absl::StatusOr<std::shared_ptr<ImageTable>> LoadImages(Transaction& tx) {
  std::map<std::string, ImageRecord> images;
  ASSIGN_OR_RETURN(
      Statement rows,
      tx.Prepare(
          "SELECT id, config, manifest, size, pulled_at_ns, pinned, artifact_type FROM images"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) {
      break;
    }
    ImageRecord image;
    image.id = rows.Text(0);
    image.config_json = rows.Text(1);
    image.manifest_json = rows.Text(2);
    image.size = static_cast<uint64_t>(rows.Int(3));
    image.pulled_at_ns = rows.Int(4);
    image.pinned = rows.Int(5) != 0;
    image.artifact_type = rows.Text(6);
    std::string id = image.id;
    images.emplace(std::move(id), std::move(image));
  }
  RETURN_IF_ERROR(LoadImageLayers(tx, images));
  RETURN_IF_ERROR(LoadNames(tx, images));
  auto table = std::make_shared<ImageTable>();
  for (auto& [id, image] : images) {
    for (const std::string& name : image.tags) {
      table->by_name[name] = id;
    }
    for (const std::string& name : image.digests) {
      table->by_name[name] = id;
    }
    table->by_id[id] = std::make_shared<const ImageRecord>(std::move(image));
  }
  return table;
}

absl::StatusOr<std::shared_ptr<RootfsTable>> LoadRootfs(Transaction& tx) {
  auto table = std::make_shared<RootfsTable>();
  ASSIGN_OR_RETURN(Statement rows, tx.Prepare("SELECT container_id, image_id, size_limit, "
                                              "project_id, uid_map, gid_map FROM containers_fs"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) {
      return table;
    }
    RootfsRecord rootfs{.image_id = rows.Text(1),
                        .size_limit = static_cast<uint64_t>(rows.Int(2)),
                        .project_id = static_cast<uint32_t>(rows.Int(3)),
                        .mappings = {}};
    ASSIGN_OR_RETURN(rootfs.mappings.uids, ParseMap(rows.Text(4)));
    ASSIGN_OR_RETURN(rootfs.mappings.gids, ParseMap(rows.Text(5)));
    (*table)[rows.Text(0)] = std::move(rootfs);
  }
}

absl::StatusOr<std::shared_ptr<VolumeTable>> LoadVolumes(Transaction& tx) {
  auto table = std::make_shared<VolumeTable>();
  ASSIGN_OR_RETURN(Statement rows, tx.Prepare("SELECT container_id, image_id FROM image_volumes"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) {
      return table;
    }
    (*table)[rows.Text(0)].insert(rows.Text(1));
  }
}

absl::Status RunWithId(Transaction& tx, const char* sql, const std::string& id) {
  ASSIGN_OR_RETURN(Statement statement, tx.Prepare(sql));
  statement.Bind(1, id);
  return statement.Run();
}

}  // namespace

const std::vector<Migration>& Migrations() {
  static const std::vector<Migration> kMigrations = {{"storage", 1, kVersion1},
                                                     {"storage", 2, kVersion2},
                                                     {"storage", 3, kVersion3},
                                                     {"storage", 4, kVersion4}};
  return kMigrations;
}

absl::StatusOr<Snapshot> LoadSnapshot(Db& db) {
  Snapshot snapshot;
  RETURN_IF_ERROR(db.Read([&snapshot](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(snapshot.layers, LoadLayers(tx));
    ASSIGN_OR_RETURN(snapshot.images, LoadImages(tx));
    ASSIGN_OR_RETURN(snapshot.rootfs, LoadRootfs(tx));
    ASSIGN_OR_RETURN(snapshot.volumes, LoadVolumes(tx));
    return absl::OkStatus();
  }));
  return snapshot;
}

absl::Status PutLayer(Transaction& tx, const LayerRecord& layer) {
  ASSIGN_OR_RETURN(Statement row,
                   tx.Prepare("INSERT INTO layers (diff_id, size, files, flags, created_at_ns, "
                              "disk_bytes, disk_inodes) "
                              "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (diff_id) DO UPDATE SET "
                              "size = excluded.size, files = excluded.files, "
                              "flags = excluded.flags, created_at_ns = excluded.created_at_ns, "
                              "disk_bytes = excluded.disk_bytes, "
                              "disk_inodes = excluded.disk_inodes"));
  row.Bind(1, layer.info.diff_id.text());
  row.Bind(2, static_cast<int64_t>(layer.info.size));
  row.Bind(3, static_cast<int64_t>(layer.info.files));
  row.Bind(4, static_cast<int64_t>(layer.flags));
  row.Bind(5, NowNanos());
  row.Bind(6, static_cast<int64_t>(layer.disk_bytes));
  row.Bind(7, static_cast<int64_t>(layer.disk_inodes));
  return row.Run();
}

absl::Status PutBlob(Transaction& tx, const Digest& blob, const Digest& diff_id) {
  ASSIGN_OR_RETURN(Statement row,
                   tx.Prepare("INSERT OR REPLACE INTO layer_blobs (blob, diff_id) VALUES (?, ?)"));
  row.Bind(1, blob.text());
  row.Bind(2, diff_id.text());
  return row.Run();
}

absl::Status DeleteLayer(Transaction& tx, const Digest& diff_id) {
  RETURN_IF_ERROR(RunWithId(tx, "DELETE FROM layer_blobs WHERE diff_id = ?", diff_id.text()));
  return RunWithId(tx, "DELETE FROM layers WHERE diff_id = ?", diff_id.text());
}

absl::Status PutImage(Transaction& tx, const ImageRecord& image) {
  {
    ASSIGN_OR_RETURN(
        Statement row,
        tx.Prepare(
            "INSERT INTO images (id, config, manifest, size, pulled_at_ns, pinned, "
            "artifact_type) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET "
            "pulled_at_ns = excluded.pulled_at_ns, pinned = excluded.pinned"));
    row.Bind(1, image.id);
    row.BindBlob(2, image.config_json);
    row.BindBlob(3, image.manifest_json);
    row.Bind(4, static_cast<int64_t>(image.size));
    row.Bind(5, image.pulled_at_ns);
    row.Bind(6, image.pinned ? 1 : 0);
    row.Bind(7, image.artifact_type);
    RETURN_IF_ERROR(row.Run());
  }
  for (size_t i = 0; i < image.layers.size(); ++i) {
    ASSIGN_OR_RETURN(Statement row,
                     tx.Prepare("INSERT OR REPLACE INTO image_layers (image_id, position, diff_id) "
                                "VALUES (?, ?, ?)"));
    row.Bind(1, image.id);
    row.Bind(2, static_cast<int64_t>(i));
    row.Bind(3, image.layers[i].text());
    RETURN_IF_ERROR(row.Run());
  }
  return absl::OkStatus();
}

absl::Status DeleteImage(Transaction& tx, const std::string& id) {
  RETURN_IF_ERROR(RunWithId(tx, "DELETE FROM image_names WHERE image_id = ?", id));
  RETURN_IF_ERROR(RunWithId(tx, "DELETE FROM image_layers WHERE image_id = ?", id));
  return RunWithId(tx, "DELETE FROM images WHERE id = ?", id);
}

absl::Status PutName(Transaction& tx, const std::string& name, const std::string& image_id,
                     bool is_digest) {
  ASSIGN_OR_RETURN(
      Statement row,
      tx.Prepare(
          "INSERT OR REPLACE INTO image_names (name, image_id, is_digest) VALUES (?, ?, ?)"));
  row.Bind(1, name);
  row.Bind(2, image_id);
  row.Bind(3, is_digest ? 1 : 0);
  return row.Run();
}

absl::Status DeleteName(Transaction& tx, const std::string& name) {
  return RunWithId(tx, "DELETE FROM image_names WHERE name = ?", name);
}

absl::Status PutRootfs(Transaction& tx, const std::string& container_id,
                       const RootfsRecord& rootfs) {
  ASSIGN_OR_RETURN(Statement row,
                   tx.Prepare("INSERT INTO containers_fs (container_id, image_id, created_at_ns, "
                              "size_limit, project_id, uid_map, gid_map) "
                              "VALUES (?, ?, ?, ?, ?, ?, ?)"));
  row.Bind(1, container_id);
  row.Bind(2, rootfs.image_id);
  row.Bind(3, NowNanos());
  row.Bind(4, static_cast<int64_t>(rootfs.size_limit));
  row.Bind(5, static_cast<int64_t>(rootfs.project_id));
  row.Bind(6, MapText(rootfs.mappings.uids));
  row.Bind(7, MapText(rootfs.mappings.gids));
  return row.Run();
}

absl::Status DeleteRootfs(Transaction& tx, const std::string& container_id) {
  return RunWithId(tx, "DELETE FROM containers_fs WHERE container_id = ?", container_id);
}

absl::Status PutVolume(Transaction& tx, const std::string& container_id,
                       const std::string& image_id) {
  ASSIGN_OR_RETURN(Statement row,
                   tx.Prepare("INSERT INTO image_volumes (container_id, image_id, created_at_ns) "
                              "VALUES (?, ?, ?)"));
  row.Bind(1, container_id);
  row.Bind(2, image_id);
  row.Bind(3, NowNanos());
  return row.Run();
}

absl::Status DeleteVolume(Transaction& tx, const std::string& container_id,
                          const std::string& image_id) {
  ASSIGN_OR_RETURN(Statement row,
                   tx.Prepare("DELETE FROM image_volumes WHERE container_id = ? AND image_id = ?"));
  row.Bind(1, container_id);
  row.Bind(2, image_id);
  return row.Run();
}

bool IsDigestName(std::string_view name) {
  return name.find('@') != std::string_view::npos;
}

}  // namespace davit::storage
