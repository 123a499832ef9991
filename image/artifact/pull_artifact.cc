// SPDX-License-Identifier: Apache-2.0
#include "image/artifact/pull_artifact.h"

#include <optional>

#include "base/failpoint.h"
#include "base/status.h"
#include "base/time.h"
#include "image/artifact/artifact_manifest.h"
#include "image/artifact/file_tar.h"
#include "image/layer_set.h"
#include "image/pull_names.h"

namespace davit::image {
namespace {

using ImagePtr = std::shared_ptr<const storage::ImageRecord>;

// One transfer of a file from one endpoint into a layer.
absl::StatusOr<PendingLayerPtr> FetchFileFrom(Context& ctx, storage::Storage& storage,
                                              Source& source, const ArtifactFile& file,
                                              size_t endpoint, LayerCounter& counter) {
  counter.done_bytes = 0;
  counter.state = LayerProgress::State::kFetching;
  ASSIGN_OR_RETURN(const auto writer, storage.NewLayer());
  FileTar tar([&writer](std::span<const uint8_t> bytes) { return writer->Write(bytes); });
  RETURN_IF_ERROR(tar.Begin(file.path, file.blob.size));
  Hasher hasher(file.blob.digest.algorithm());
  RETURN_IF_ERROR(source.StreamBlob(ctx, file.blob, endpoint, [&](std::span<const uint8_t> bytes) {
    hasher.Update(bytes);
    counter.done_bytes += bytes.size();
    return tar.Write(bytes);
  }));
  if (const Digest digest = hasher.Finish(); digest != file.blob.digest) {
    return DataLoss("has digest {}", digest.text());
  }
  RETURN_IF_ERROR(tar.Finish());
  auto pending = writer->Finish(/*expected_diff_id=*/{}, LayerKey(file));
  if (pending.ok()) {
    counter.state = LayerProgress::State::kDone;
  }
  return pending;
}

absl::StatusOr<PendingLayerPtr> FetchFile(Context& ctx, storage::Storage& storage, Source& source,
                                          const ArtifactFile& file, LayerCounter& counter) {
  if (file.unpack) {
    return FetchLayer(ctx, storage, source, {.blob = file.blob}, /*diff_id=*/{}, counter);
  }
  absl::StatusOr<PendingLayerPtr> pending = absl::UnknownError("");
  for (size_t endpoint = 0; endpoint < source.endpoint_count(); ++endpoint) {
    pending = FetchFileFrom(ctx, storage, source, file, endpoint, counter);
    if (!absl::IsDataLoss(pending.status())) {
      break;
    }
  }
  if (!pending.ok()) {
    return Annotate(pending.status(), "file " + file.path + ", blob " + file.blob.digest.text());
  }
  return pending;
}

std::vector<WantedLayer> FileLayers(const PullEnvironment& environment,
                                    const std::shared_ptr<Source>& source,
                                    const std::vector<ArtifactFile>& files) {
  std::vector<WantedLayer> wanted;
  for (const ArtifactFile& file : files) {
    storage::Storage& storage = environment.storage;
    WantedLayer one;
    one.blob = file.blob;
    one.key = LayerKey(file).text() + "|" + std::to_string(file.blob.size);
    one.present = [&storage, key = LayerKey(file)]() -> std::optional<Digest> {
      const auto layer = storage.FindLayerByBlob(key);
      return layer ? std::optional(layer->diff_id) : std::nullopt;
    };
    one.fetch = [&storage, source, file](Context& ctx, LayerCounter& counter) {
      return FetchFile(ctx, storage, *source, file, counter);
    };
    wanted.push_back(std::move(one));
  }
  return wanted;
}

class ArtifactJob {
 public:
  ArtifactJob(const PullEnvironment& environment, const FoundArtifact& found,
              PullProgress& progress)
      : env_(environment),
        found_(found),
        progress_(progress),
        id_(Digest::Sha256Of(found.manifest.json).hex()) {}

  absl::StatusOr<PullResult> Run(Context& ctx) {
    ASSIGN_OR_RETURN(artifact_, ParseArtifact(found_.manifest.json, env_.config.max_layers));
    ASSIGN_OR_RETURN(const auto present, env_.storage.FindImage("sha256:" + id_));
    if (present) {
      const absl::Status named = AddNames(**present);
      if (named.ok() || !absl::IsFailedPrecondition(named)) {
        RETURN_IF_ERROR(named);
        return Result(true);
      }
      // It was removed just now: pull it as if it had never been.
    }
    ASSIGN_OR_RETURN(config_, FetchConfig(ctx));
    // Layers seen here may be removed with another artifact before ours has them: once more, then.
    absl::Status status = Commit(ctx);
    if (absl::IsFailedPrecondition(status) && lacks_layers_) {
      status = Commit(ctx);
    }
    RETURN_IF_ERROR(status);
    return Result(false);
  }

 private:
  absl::StatusOr<std::string> FetchConfig(Context& ctx) {
    constexpr char kEmpty[] = "{}";
    if (artifact_.config.digest == Digest::Sha256Of(kEmpty)) {
      return std::string(kEmpty);
    }
    ctx.SetStage("fetch config of " + found_.reference.canonical());
    auto bytes = found_.source->FetchBlob(ctx, artifact_.config);
    return bytes.ok() ? bytes : Annotate(bytes.status(), "artifact config");
  }

  absl::Status AddNames(const storage::ImageRecord& present) {
    storage::ImageRecord record = present;
    record.tags.clear();
    record.digests.clear();
    record.pulled_at_ns = NowNanos();
    AddPulledNames(record, found_.reference, found_.top_digest, env_.config);
    return env_.storage.CommitImage(record, {});
  }

  absl::Status Commit(Context& ctx) {
    lacks_layers_ = false;
    LayerSet layers(env_, FileLayers(env_, found_.source, artifact_.files),
                    found_.reference.canonical());
    RETURN_IF_ERROR(layers.Fetch(ctx, progress_));
    RETURN_IF_ERROR(failpoint::Hit("pull_artifact.after_layers"));
    ctx.SetStage("commit " + found_.reference.canonical());
    RETURN_IF_ERROR(ctx.Check());
    storage::ImageRecord record;
    record.id = id_;
    record.artifact_type = artifact_.type;
    record.config_json = config_;
    record.manifest_json = found_.manifest.json;
    record.layers = layers.diff_ids();
    record.pulled_at_ns = NowNanos();
    AddPulledNames(record, found_.reference, found_.top_digest, env_.config);
    const absl::Status status = env_.storage.CommitImage(record, layers.pending());
    lacks_layers_ = !status.ok();
    layers.Settle();
    return status;
  }

  [[nodiscard]] PullResult Result(bool already_present) const {
    return {.image_id = id_,
            .reference = found_.reference.repository() + "@" + found_.top_digest.text(),
            .already_present = already_present};
  }

  const PullEnvironment& env_;
  const FoundArtifact& found_;
  PullProgress& progress_;
  const std::string id_;
  Artifact artifact_;
  std::string config_;
  bool lacks_layers_ = false;
};

}  // namespace

absl::StatusOr<PullResult> PullArtifact(Context& ctx, const PullEnvironment& environment,
                                        const FoundArtifact& artifact, PullProgress& progress) {
  return ArtifactJob(environment, artifact, progress).Run(ctx);
}

}  // namespace davit::image
