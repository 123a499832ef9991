// SPDX-License-Identifier: Apache-2.0
#include "image/archive/save.h"

#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/id.h"
#include "base/json.h"
#include "base/status.h"
#include "image/archive/tar_stream.h"

namespace davit::image {
namespace {

using nlohmann::json;

constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";
constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kRefName[] = "org.opencontainers.image.ref.name";
constexpr char kFullName[] = "io.containerd.image.name";

std::string BlobPath(const Digest& digest) {
  return "blobs/" + digest.algorithm() + "/" + digest.hex();
}

std::string TagOf(const std::string& name) {
  return name.substr(name.rfind(':') + 1);
}

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
    RETURN_IF_ERROR(tar_.File("manifest.json", DumpJson(docker_)));
    for (const auto& [digest, text] : documents_) {
      RETURN_IF_ERROR(tar_.File(BlobPath(digest), text));
    }
    for (const auto& [diff_id, size] : layers_) {
      RETURN_IF_ERROR(Annotate(WriteLayer(diff_id, size), "save layer " + diff_id.text()));
    }
    return tar_.Finish();
  }

 private:
  // Everything that can be refused is refused before the first byte is written.
  absl::Status MeasureLayers() {
    for (const ImageToSave& one : images_) {
      if (!one.image->artifact_type.empty()) {
        return Unimplemented("save {}: it is an artifact, not an image", ShortId(one.image->id));
      }
      for (const Digest& diff_id : one.image->layers) {
        if (layers_.contains(diff_id)) {
          continue;
        }
        ASSIGN_OR_RETURN(const auto layer, storage_.ReadLayer(diff_id));
        layers_[diff_id] = layer->tar_size();
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
      const json descriptor = AddImage(*one.image);
      for (const std::string& name : one.names) {
        json named = descriptor;
        const std::string tag = TagOf(name);
        named["annotations"] = {{kRefName, tags[tag] == 1 ? tag : name}, {kFullName, name}};
        index_["manifests"].push_back(std::move(named));
      }
      if (one.names.empty()) {
        index_["manifests"].push_back(descriptor);
      }
      AddDocker(one);
    }
    return absl::OkStatus();
  }

  // Its documents; returns the descriptor of its manifest.
  json AddImage(const storage::ImageRecord& image) {
    const Digest config = AddDocument(image.config_json);
    json manifest = {{"schemaVersion", 2}, {"mediaType", kManifestType}};
    manifest["config"] = {
        {"mediaType", kConfigType}, {"digest", config.text()}, {"size", image.config_json.size()}};
    manifest["layers"] = json::array();
    for (const Digest& diff_id : image.layers) {
      manifest["layers"].push_back(
          {{"mediaType", kLayerType}, {"digest", diff_id.text()}, {"size", layers_.at(diff_id)}});
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

  absl::Status WriteLayer(const Digest& diff_id, uint64_t size) {
    ctx_.SetStage("save layer " + diff_id.text());
    ASSIGN_OR_RETURN(const auto layer, storage_.ReadLayer(diff_id));
    RETURN_IF_ERROR(tar_.Begin(BlobPath(diff_id), size));
    Hasher hasher;
    while (true) {
      RETURN_IF_ERROR(ctx_.Check());
      ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, layer->Next());
      if (bytes.empty()) {
        break;
      }
      hasher.Update(bytes);
      RETURN_IF_ERROR(tar_.Data(bytes));
    }
    if (hasher.Finish() != diff_id) {
      return DataLoss("it is damaged; find out more with `davit check --full`");
    }
    return absl::OkStatus();
  }

  Context& ctx_;
  storage::Storage& storage_;
  const std::vector<ImageToSave>& images_;
  TarStream tar_;
  std::map<Digest, uint64_t> layers_;  // with the size of their tars
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
