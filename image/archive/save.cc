// SPDX-License-Identifier: Apache-2.0
#include "image/archive/save.h"

#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/id.h"
#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "image/archive/tar_stream.h"
#include "image/artifact/artifact_manifest.h"
#include "storage/tar_reader.h"

namespace davit::image {
namespace {

using nlohmann::json;

constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";
constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kRefName[] = "org.opencontainers.image.ref.name";
constexpr char kFullName[] = "io.containerd.image.name";

// Of an artifact that is here: the pull had its own limit.
constexpr int kMaxFiles = 100'000;

std::string BlobPath(const Digest& digest) {
  return "blobs/" + digest.algorithm() + "/" + digest.hex();
}

std::string TagOf(const std::string& name) {
  return name.substr(name.rfind(':') + 1);
}

// A file of the archive that comes out of a layer.
struct Blob {
  Digest layer;
  uint64_t size = 0;
  bool file = false;  // the one file in the layer, not its tar
};

class Saver {
 public:
  Saver(Context& ctx, storage::Storage& storage, const std::vector<ImageToSave>& images,
        const ByteSink& sink)
      : ctx_(ctx), storage_(storage), images_(images), tar_(sink) {}

  absl::Status Run() {
    RETURN_IF_ERROR(MeasureLayers());
    RETURN_IF_ERROR(Describe());
    RETURN_IF_ERROR(tar_.File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    RETURN_IF_ERROR(tar_.File("index.json", DumpJson(index_)));
    if (!docker_.empty()) {
      RETURN_IF_ERROR(tar_.File("manifest.json", DumpJson(docker_)));
    }
    for (const auto& [digest, text] : documents_) {
      RETURN_IF_ERROR(tar_.File(BlobPath(digest), text));
    }
    for (const auto& [digest, blob] : blobs_) {
      RETURN_IF_ERROR(Annotate(WriteBlob(digest, blob), "save layer " + blob.layer.text()));
    }
    return tar_.Finish();
  }

 private:
  // Everything that can be refused is refused before the first byte is written.
  absl::Status MeasureLayers() {
    for (const ImageToSave& one : images_) {
      if (!one.image->artifact_type.empty()) {
        RETURN_IF_ERROR(
            Annotate(MeasureArtifact(*one.image), "save artifact " + ShortId(one.image->id)));
        continue;
      }
      for (const Digest& diff_id : one.image->layers) {
        RETURN_IF_ERROR(MeasureLayer(diff_id));
      }
    }
    return absl::OkStatus();
  }

  absl::Status MeasureLayer(const Digest& diff_id) {
    if (!blobs_.contains(diff_id)) {
      ASSIGN_OR_RETURN(const auto layer, storage_.ReadLayer(diff_id));
      blobs_[diff_id] = {.layer = diff_id, .size = layer->tar_size()};
    }
    return absl::OkStatus();
  }

  absl::Status MeasureArtifact(const storage::ImageRecord& image) {
    ASSIGN_OR_RETURN(const Artifact artifact, ParseArtifact(image.manifest_json, kMaxFiles));
    if (artifact.files.size() != image.layers.size()) {
      return Internal("its manifest has {} files, its record {}", artifact.files.size(),
                      image.layers.size());
    }
    for (size_t i = 0; i < artifact.files.size(); ++i) {
      const ArtifactFile& file = artifact.files[i];
      const Digest& diff_id = image.layers[i];
      if (!file.unpack) {
        RETURN_IF_ERROR(storage_.ReadLayer(diff_id).status());
        blobs_[file.blob.digest] = {.layer = diff_id, .size = file.blob.size, .file = true};
      } else if (file.blob.digest == diff_id) {
        RETURN_IF_ERROR(MeasureLayer(diff_id));
      } else {
        return FailedPrecondition(
            "'{}' is a compressed archive of which only the content is kept; copy the artifact "
            "from its registry",
            Printable(file.path));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Describe() {
    index_ = {{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", json::array()}};
    docker_ = json::array();
    std::map<std::string, int> tags;  // how many names have it
    for (const ImageToSave& one : images_) {
      for (const std::string& name : one.names) {
        ++tags[TagOf(name)];
      }
    }
    for (const ImageToSave& one : images_) {
      const bool artifact = !one.image->artifact_type.empty();
      const json descriptor = artifact ? AddArtifact(*one.image) : AddImage(*one.image);
      for (const std::string& name : one.names) {
        json named = descriptor;
        const std::string tag = TagOf(name);
        named["annotations"] = {{kRefName, tags[tag] == 1 ? tag : name}, {kFullName, name}};
        index_["manifests"].push_back(std::move(named));
      }
      if (one.names.empty()) {
        index_["manifests"].push_back(descriptor);
      }
      if (!artifact) {
        AddDocker(one);
      }
    }
    return absl::OkStatus();
  }

  json AddArtifact(const storage::ImageRecord& artifact) {
    AddDocument(artifact.config_json);
    AddDocument("{}");  // what layers without content name
    const Digest digest = AddDocument(artifact.manifest_json);
    return {{"mediaType", kManifestType},
            {"artifactType", artifact.artifact_type},
            {"digest", digest.text()},
            {"size", artifact.manifest_json.size()}};
  }

  // Its documents; returns the descriptor of its manifest.
  json AddImage(const storage::ImageRecord& image) {
    const Digest config = AddDocument(image.config_json);
    json manifest = {{"schemaVersion", 2}, {"mediaType", kManifestType}};
    manifest["config"] = {
        {"mediaType", kConfigType}, {"digest", config.text()}, {"size", image.config_json.size()}};
    manifest["layers"] = json::array();
    for (const Digest& diff_id : image.layers) {
      manifest["layers"].push_back({{"mediaType", kLayerType},
                                    {"digest", diff_id.text()},
                                    {"size", blobs_.at(diff_id).size}});
    }
    const std::string text = DumpJson(manifest);
    const Digest digest = AddDocument(text);
    return {{"mediaType", kManifestType}, {"digest", digest.text()}, {"size", text.size()}};
  }

  void AddDocker(const ImageToSave& one) {
    json layers = json::array();
    for (const Digest& diff_id : one.image->layers) {
      layers.push_back(BlobPath(diff_id));
    }
    docker_.push_back({{"Config", BlobPath(Digest::Sha256Of(one.image->config_json))},
                       {"RepoTags", one.names},
                       {"Layers", std::move(layers)}});
  }

  Digest AddDocument(const std::string& text) {
    const Digest digest = Digest::Sha256Of(text);
    documents_[digest] = text;
    return digest;
  }

  absl::Status WriteBlob(const Digest& digest, const Blob& blob) {
    ctx_.SetStage("save layer " + blob.layer.text());
    ASSIGN_OR_RETURN(const auto layer, storage_.ReadLayer(blob.layer));
    RETURN_IF_ERROR(tar_.Begin(BlobPath(digest), blob.size));
    Hasher hasher(digest.algorithm());
    RETURN_IF_ERROR(blob.file ? WriteFileOf(*layer, hasher) : WriteTar(*layer, hasher));
    if (hasher.Finish() != digest) {
      return DataLoss("it is damaged; find out more with `davit check --full`");
    }
    return absl::OkStatus();
  }

  absl::Status WriteTar(storage::LayerTar& layer, Hasher& hasher) {
    while (true) {
      RETURN_IF_ERROR(ctx_.Check());
      ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, layer.Next());
      if (bytes.empty()) {
        return absl::OkStatus();
      }
      hasher.Update(bytes);
      RETURN_IF_ERROR(tar_.Data(bytes));
    }
  }

  // As image/artifact/file_tar.h has put it there: one entry, no holes.
  absl::Status WriteFileOf(storage::LayerTar& layer, Hasher& hasher) {
    ASSIGN_OR_RETURN(const auto tar, storage::TarReader::Create(layer));
    ASSIGN_OR_RETURN(const auto entry, tar->Next());
    if (!entry) {
      return absl::OkStatus();
    }
    while (true) {
      RETURN_IF_ERROR(ctx_.Check());
      ASSIGN_OR_RETURN(const auto block, tar->NextBlock());
      if (!block) {
        return absl::OkStatus();
      }
      hasher.Update(block->bytes);
      RETURN_IF_ERROR(tar_.Data(block->bytes));
    }
  }

  Context& ctx_;
  storage::Storage& storage_;
  const std::vector<ImageToSave>& images_;
  TarStream tar_;
  std::map<Digest, Blob> blobs_;
  std::map<Digest, std::string> documents_;
  json index_;
  json docker_;
};

}  // namespace

absl::Status SaveArchive(Context& ctx, storage::Storage& storage,
                         const std::vector<ImageToSave>& images, const ByteSink& sink) {
  return Saver(ctx, storage, images, sink).Run();
}

}  // namespace davit::image
