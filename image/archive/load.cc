// SPDX-License-Identifier: Apache-2.0
#include "image/archive/load.h"

#include <algorithm>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "image/archive/archive_reader.h"
#include "image/archive/inflated_source.h"
#include "image/image_config.h"
#include "image/manifest.h"
#include "image/pinned.h"
#include "image/platform.h"
#include "image/reference.h"

namespace davit::image {
namespace {

using nlohmann::json;
using Pending = std::vector<std::shared_ptr<storage::PendingLayer>>;

constexpr int kMaxIndexDepth = 3;
constexpr size_t kMaxImages = 1000;

struct Candidate {
  storage::ImageRecord record;
  Pending layers;
};

class Loader {
 public:
  Loader(Context& ctx, storage::Storage& storage, const config::Image& config,
         const LoadOptions& options, ArchiveContents contents)
      : ctx_(ctx),
        storage_(storage),
        config_(config),
        options_(options),
        contents_(std::move(contents)) {}

  absl::StatusOr<std::vector<LoadedImage>> Run() {
    if (contents_.Find("index.json") != nullptr) {
      RETURN_IF_ERROR(Admit("oci-archive"));
      RETURN_IF_ERROR(ReadLayout());
    } else if (contents_.Find("manifest.json") != nullptr) {
      RETURN_IF_ERROR(Admit("docker-archive"));
      RETURN_IF_ERROR(ReadDocker());
    } else {
      return InvalidArgument(
          "this is no image archive: it has neither index.json (OCI layout) nor manifest.json "
          "(docker-archive)");
    }
    if (candidates_.empty()) {
      return unfit_.ok() ? InvalidArgument("the archive names no image") : unfit_;
    }
    return Commit();
  }

 private:
  absl::Status Admit(const std::string& transport) const {
    return options_.admit ? options_.admit(transport) : absl::OkStatus();
  }

  absl::StatusOr<json> Document(const std::string& name) const {
    const ArchiveMember* member = contents_.Find(name);
    if (member == nullptr || member->document.empty()) {
      return InvalidArgument("the archive has no document '{}'", Printable(name));
    }
    return ParseJson(member->document, "archive member " + Printable(name));
  }

  absl::StatusOr<const ArchiveMember*> DocumentBlob(const Digest& digest) const {
    const ArchiveMember* member = contents_.FindBlob(digest);
    if (member == nullptr || member->document.empty()) {
      return NotFound("the archive lacks the document {}", digest.text());
    }
    return member;
  }

  // --- OCI layout -------------------------------------------------------------------------------
  absl::Status ReadLayout() {
    ASSIGN_OR_RETURN(const json index, Document("index.json"));
    const json& manifests = JsonChild(index, "manifests");
    if (!manifests.is_array() || manifests.size() > kMaxImages) {
      return InvalidArgument("index.json lists no images, or more than {}", kMaxImages);
    }
    for (const json& entry : manifests) {
      const absl::Status status = ReadEntry(entry);
      // Other entries may be for this node.
      if (absl::IsFailedPrecondition(status)) {
        unfit_ = status;
      } else {
        RETURN_IF_ERROR(status);
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadEntry(const json& entry) {
    ASSIGN_OR_RETURN(Digest digest, Digest::Parse(JsonString(entry, "digest")));
    std::set<Digest> digests;
    for (int depth = 0; depth <= kMaxIndexDepth; ++depth) {
      digests.insert(digest);
      ASSIGN_OR_RETURN(const ArchiveMember* const member, DocumentBlob(digest));
      ASSIGN_OR_RETURN(const DocumentKind kind, KindOf(member->document, ""));
      if (kind == DocumentKind::kManifest) {
        return ReadManifest(member->document, digests, JsonChild(entry, "annotations"));
      }
      if (kind == DocumentKind::kArtifact) {
        return ReadArtifact(member->document, digests, JsonChild(entry, "annotations"));
      }
      ASSIGN_OR_RETURN(const Descriptor chosen,
                       ChooseFromIndex(member->document, Platform::Host()));
      digest = chosen.digest;
    }
    return InvalidArgument("image indexes are nested more than {} deep", kMaxIndexDepth);
  }

  absl::Status ReadManifest(const std::string& text, const std::set<Digest>& digests,
                            const json& annotations) {
    ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(text, config_.max_layers));
    if (manifest.config.digest.algorithm() != "sha256") {
      return InvalidArgument("image config has digest {}: image IDs are of sha256 only",
                             manifest.config.digest.text());
    }
    ASSIGN_OR_RETURN(const ArchiveMember* const config, DocumentBlob(manifest.config.digest));
    std::vector<const ArchiveMember*> members;
    for (const Layer& layer : manifest.layers) {
      members.push_back(contents_.FindBlob(layer.blob.digest));
    }
    Candidate candidate;
    candidate.record.manifest_json = text;
    RETURN_IF_ERROR(Fill(candidate, *config, members));
    RETURN_IF_ERROR(NameFromLayout(candidate.record, annotations, digests));
    candidates_.push_back(std::move(candidate));
    return absl::OkStatus();
  }

  absl::Status ReadArtifact(const std::string& text, const std::set<Digest>& digests,
                            const json& annotations) {
    ASSIGN_OR_RETURN(const Artifact artifact, ParseArtifact(text, config_.max_layers));
    Candidate candidate;
    storage::ImageRecord& record = candidate.record;
    record.id = Digest::Sha256Of(text).hex();
    record.artifact_type = artifact.type;
    record.manifest_json = text;
    record.config_json = "{}";
    if (artifact.config.digest != Digest::Sha256Of(record.config_json)) {
      ASSIGN_OR_RETURN(const ArchiveMember* const config, DocumentBlob(artifact.config.digest));
      record.config_json = config->document;
    }
    record.pulled_at_ns = NowNanos();
    for (const ArtifactFile& file : artifact.files) {
      RETURN_IF_ERROR(Annotate(AddFile(candidate, file), "file " + Printable(file.path)));
    }
    RETURN_IF_ERROR(NameFromLayout(record, annotations, digests));
    candidates_.push_back(std::move(candidate));
    return absl::OkStatus();
  }

  absl::Status AddFile(Candidate& candidate, const ArtifactFile& file) const {
    const ArchiveMember* const member = contents_.FindBlob(file.blob.digest);
    if (member == nullptr) {
      return DataLoss("the archive lacks blob {}", file.blob.digest.text());
    }
    ArchiveFile found{.path = file.path, .diff_id = member->diff_id, .layer = member->layer};
    if (file.unpack) {
      RETURN_IF_ERROR(member->damage);
      if (member->diff_id.empty()) {
        return DataLoss("blob {} is no archive", file.blob.digest.text());
      }
    } else {
      ASSIGN_OR_RETURN(found, FileOf(*member, file));
    }
    candidate.record.layers.push_back(found.diff_id);
    if (found.layer) {
      candidate.layers.push_back(found.layer);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<ArchiveFile> FileOf(const ArchiveMember& member, const ArtifactFile& file) const {
    for (const ArchiveFile& one : member.files) {
      if (one.path == file.path) {
        return one;
      }
    }
    if (member.document.size() != file.blob.size) {
      return FailedPrecondition(
          "it comes before the manifest of its artifact in the archive; `davit save`, and `davit "
          "load` of a directory, put manifests first");
    }
    return MakeFileLayer(storage_, file, member.document);
  }

  absl::Status NameFromLayout(storage::ImageRecord& record, const json& annotations,
                              const std::set<Digest>& digests) const {
    std::string name = JsonString(annotations, "io.containerd.image.name");
    if (name.empty()) {
      name = JsonString(annotations, "org.opencontainers.image.ref.name");
      const bool tag_only = name.find_first_of("/:@") == std::string::npos;
      if (!name.empty() && tag_only) {
        name = options_.repository.empty() ? "" : options_.repository + ":" + name;
      }
    }
    if (name.empty() && !options_.repository.empty()) {
      name = options_.repository;
    }
    if (name.empty()) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(name));
    if (reference.digest.empty()) {
      record.tags.push_back(reference.canonical());
    }
    // The digests were compared with the bytes: who asks for the image by one gets the same.
    for (const Digest& digest : digests) {
      record.digests.push_back(reference.repository() + "@" + digest.text());
    }
    return absl::OkStatus();
  }

  // --- docker-archive ---------------------------------------------------------------------------
  absl::Status ReadDocker() {
    ASSIGN_OR_RETURN(const json images, Document("manifest.json"));
    if (!images.is_array() || images.size() > kMaxImages) {
      return InvalidArgument("manifest.json is no list of at most {} images", kMaxImages);
    }
    for (const json& image : images) {
      const absl::Status status = ReadDockerImage(image);
      if (absl::IsFailedPrecondition(status)) {
        unfit_ = status;
      } else {
        RETURN_IF_ERROR(status);
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadDockerImage(const json& image) {
    const std::string config_name = JsonString(image, "Config");
    const ArchiveMember* config = contents_.Find(config_name);
    if (config == nullptr || config->document.empty()) {
      return InvalidArgument("the archive lacks the configuration '{}'", Printable(config_name));
    }
    std::vector<const ArchiveMember*> members;
    for (const json& layer : JsonChild(image, "Layers")) {
      members.push_back(layer.is_string() ? contents_.Find(layer.get<std::string>()) : nullptr);
    }
    Candidate candidate;
    RETURN_IF_ERROR(Fill(candidate, *config, members));
    candidate.record.manifest_json = PlainManifest(candidate.record, *config);
    for (const json& name : JsonChild(image, "RepoTags")) {
      ASSIGN_OR_RETURN(const Reference reference,
                       Reference::Parse(name.is_string() ? name.get<std::string>() : ""));
      candidate.record.tags.push_back(reference.canonical());
    }
    if (candidate.record.tags.empty() && !options_.repository.empty()) {
      ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(options_.repository));
      candidate.record.tags.push_back(reference.canonical());
    }
    candidates_.push_back(std::move(candidate));
    return absl::OkStatus();
  }

  // An image that came without a manifest gets one that says what is known.
  static std::string PlainManifest(const storage::ImageRecord& record,
                                   const ArchiveMember& config) {
    json manifest = {{"schemaVersion", 2},
                     {"mediaType", "application/vnd.oci.image.manifest.v1+json"}};
    manifest["config"] = {{"mediaType", "application/vnd.oci.image.config.v1+json"},
                          {"digest", config.digest.text()},
                          {"size", config.document.size()}};
    manifest["layers"] = json::array();
    for (const Digest& diff_id : record.layers) {
      manifest["layers"].push_back({{"mediaType", "application/vnd.oci.image.layer.v1.tar"},
                                    {"digest", diff_id.text()},
                                    {"size", 0}});
    }
    return DumpJson(manifest);
  }

  // --- both -------------------------------------------------------------------------------------
  absl::Status Fill(Candidate& candidate, const ArchiveMember& config,
                    const std::vector<const ArchiveMember*>& members) const {
    ASSIGN_OR_RETURN(const ImageConfig parsed, ParseImageConfig(config.document));
    const Platform host = Platform::Host();
    if ((!parsed.os.empty() && parsed.os != host.os) ||
        (!parsed.architecture.empty() && parsed.architecture != host.architecture)) {
      return FailedPrecondition("image is for {}/{}, this node is {}", parsed.os,
                                parsed.architecture, host.text());
    }
    if (parsed.diff_ids.size() != members.size()) {
      return InvalidArgument("image config lists {} layers, the archive {}", parsed.diff_ids.size(),
                             members.size());
    }
    candidate.record.id = Digest::Sha256Of(config.document).hex();
    candidate.record.config_json = config.document;
    candidate.record.pulled_at_ns = NowNanos();
    for (size_t i = 0; i < members.size(); ++i) {
      ASSIGN_OR_RETURN(const Digest diff_id, Digest::Parse(parsed.diff_ids[i]));
      RETURN_IF_ERROR(AddLayer(candidate, diff_id, members[i]));
    }
    return absl::OkStatus();
  }

  absl::Status AddLayer(Candidate& candidate, const Digest& diff_id,
                        const ArchiveMember* member) const {
    candidate.record.layers.push_back(diff_id);
    if (member == nullptr) {
      // Archives may leave out what the receiver has.
      return storage_.HasLayer(diff_id) ? absl::OkStatus()
                                        : DataLoss("the archive lacks layer {}", diff_id.text());
    }
    RETURN_IF_ERROR(Annotate(member->damage, "layer " + diff_id.text()));
    if (member->diff_id != diff_id) {
      return DataLoss("layer {} of the archive has diff ID {}, the image config says {}",
                      member->digest.text(), member->diff_id.text(), diff_id.text());
    }
    if (member->layer) {
      candidate.layers.push_back(member->layer);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<LoadedImage>> Commit() {
    std::vector<LoadedImage> loaded;
    for (Candidate& candidate : candidates_) {
      RETURN_IF_ERROR(ctx_.Check());
      candidate.record.pinned = IsPinned(candidate.record, config_.pinned);
      RETURN_IF_ERROR(storage_.CommitImage(candidate.record, candidate.layers));
      const auto same = std::find_if(loaded.begin(), loaded.end(), [&](const LoadedImage& other) {
        return other.id == candidate.record.id;
      });
      LoadedImage& image =
          same == loaded.end() ? loaded.emplace_back(LoadedImage{candidate.record.id, {}}) : *same;
      image.names.insert(image.names.end(), candidate.record.tags.begin(),
                         candidate.record.tags.end());
    }
    return loaded;
  }

  Context& ctx_;
  storage::Storage& storage_;
  const config::Image& config_;
  const LoadOptions& options_;
  const ArchiveContents contents_;
  std::vector<Candidate> candidates_;
  absl::Status unfit_;  // why an image of the archive is not for this node
};

}  // namespace

absl::StatusOr<std::vector<LoadedImage>> LoadArchive(Context& ctx, storage::Storage& storage,
                                                     const config::Image& config,
                                                     const LoadOptions& options,
                                                     storage::ByteSource& archive,
                                                     std::function<void()> stop) {
  ASSIGN_OR_RETURN(const auto inflated, InflatedSource::Create(archive, std::move(stop)));
  ASSIGN_OR_RETURN(ArchiveContents contents, ReadArchive(ctx, storage, *inflated));
  return Loader(ctx, storage, config, options, std::move(contents)).Run();
}

}  // namespace davit::image
