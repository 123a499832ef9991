// SPDX-License-Identifier: Apache-2.0
#include "image/pull.h"

#include <algorithm>

#include "base/failpoint.h"
#include "base/status.h"
#include "base/time.h"
#include "image/artifact/pull_artifact.h"
#include "image/layer_set.h"
#include "image/policy/checker.h"
#include "image/pull_names.h"

namespace davit::image {
namespace {

using ImagePtr = std::shared_ptr<const storage::ImageRecord>;

constexpr int kMaxIndexDepth = 3;

class PullJob {
 public:
  PullJob(const PullEnvironment& environment, const Reference& reference,
          const PullRequest& request, PullProgress& progress, std::shared_ptr<Source> source)
      : env_(environment),
        reference_(reference),
        request_(request),
        progress_(progress),
        source_(std::move(source)) {}

  absl::StatusOr<PullResult> Run(Context& ctx) {
    ctx.SetStage("resolve " + reference_.canonical());
    ASSIGN_OR_RETURN(const ImagePtr known, KnownByTag(ctx));
    if (known) {
      RETURN_IF_ERROR(
          env_.policy.CheckPresent(ctx, *known, WithName(request_, reference_), source_.get()));
      return Result(known->id, true);
    }
    Document document;
    ASSIGN_OR_RETURN(const DocumentKind kind, FetchManifest(ctx, document));
    manifest_digest_ = document.digest;
    RETURN_IF_ERROR(CheckPolicy(ctx));  // before anything of it is fetched
    if (kind == DocumentKind::kArtifact) {
      return PullArtifact(ctx, env_,
                          {.reference = reference_,
                           .top_digest = top_digest_,
                           .manifest = std::move(document),
                           .source = source_},
                          progress_);
    }
    ASSIGN_OR_RETURN(manifest_, ParseManifest(document.json, env_.config.max_layers));
    manifest_json_ = std::move(document.json);
    RETURN_IF_ERROR(failpoint::Hit("pull_image.after_manifest"));
    return Obtain(ctx);
  }

 private:
  absl::StatusOr<ImagePtr> Find(const std::string& name) const {
    ASSIGN_OR_RETURN(const auto found, env_.storage.FindImage(name));
    return found.value_or(nullptr);
  }

  // The image that has our tag, if the registry still means the same by it: one small request.
  absl::StatusOr<ImagePtr> KnownByTag(Context& ctx) {
    if (!reference_.digest.empty()) {
      return ImagePtr();  // looked up before there was a job
    }
    ASSIGN_OR_RETURN(const ImagePtr tagged, Find(reference_.canonical()));
    if (!tagged) {
      return ImagePtr();
    }
    const trace::Span span(ctx, "resolve");
    const Digest digest = source_->HeadManifest(ctx, reference_.tag);
    const std::string name = reference_.repository() + "@" + digest.text();
    const auto& names = tagged->digests;
    if (digest.empty() || std::find(names.begin(), names.end(), name) == names.end()) {
      return ImagePtr();
    }
    top_digest_ = digest;
    return tagged;
  }

  absl::StatusOr<DocumentKind> FetchManifest(Context& ctx, Document& document) {
    trace::Span span(ctx, "manifest");
    auto fetched = source_->FetchManifest(ctx, reference_.manifest_reference());
    RETURN_IF_ERROR(span.Outcome(fetched.status()));
    document = *std::move(fetched);
    top_digest_ = document.digest;
    auto kind = Descend(ctx, document);
    RETURN_IF_ERROR(span.Outcome(kind.status()));
    span.Set("digest", document.digest.text());
    return kind;
  }

  // From an index to the manifest for this platform, image or artifact.
  absl::StatusOr<DocumentKind> Descend(Context& ctx, Document& document) {
    for (int depth = 0; depth <= kMaxIndexDepth; ++depth) {
      ASSIGN_OR_RETURN(const DocumentKind kind, KindOf(document.json, document.content_type));
      if (kind != DocumentKind::kIndex) {
        return kind;
      }
      ASSIGN_OR_RETURN(const Descriptor entry, ChooseFromIndex(document.json, platform_));
      ASSIGN_OR_RETURN(document, source_->FetchManifest(ctx, entry.digest.text()));
    }
    return InvalidArgument("image indexes are nested more than {} deep", kMaxIndexDepth);
  }

  // Before anything that the manifest names is fetched.
  absl::Status CheckPolicy(Context& ctx) {
    ImageClaim claim{.name = reference_, .manifests = {manifest_digest_}};
    if (top_digest_ != manifest_digest_) {
      claim.manifests.push_back(top_digest_);
    }
    trace::Span span(ctx, "policy");
    return span.Outcome(env_.policy.CheckPull(ctx, claim, request_, *source_));
  }

  absl::StatusOr<PullResult> Obtain(Context& ctx) {
    if (manifest_.config.digest.algorithm() != "sha256") {
      return InvalidArgument("image config has digest {}: image IDs are of sha256 only",
                             manifest_.config.digest.text());
    }
    const std::string id = manifest_.config.digest.hex();
    ASSIGN_OR_RETURN(const ImagePtr present, Find("sha256:" + id));
    if (present) {
      const absl::Status named = AddNames(*present);
      if (named.ok() || !absl::IsFailedPrecondition(named)) {
        RETURN_IF_ERROR(named);
        return Result(id, true);
      }
      // It was removed just now: pull it as if it had never been.
    }
    ASSIGN_OR_RETURN(config_json_, FetchConfig(ctx));
    RETURN_IF_ERROR(CheckConfig());
    // Layers seen here may be removed with another image before ours has them: once more, then.
    absl::Status status = Commit(ctx);
    if (absl::IsFailedPrecondition(status) && lacks_layers_) {
      status = Commit(ctx);
    }
    RETURN_IF_ERROR(status);
    return Result(id, false);
  }

  absl::StatusOr<std::string> FetchConfig(Context& ctx) {
    ctx.SetStage("fetch config of " + reference_.canonical());
    const trace::Span span(ctx, "config");
    auto json = source_->FetchBlob(ctx, manifest_.config);
    if (!json.ok()) {
      return Annotate(json.status(), "image config");
    }
    return json;
  }

  absl::Status CheckConfig() {
    ASSIGN_OR_RETURN(const ImageConfig config, ParseImageConfig(config_json_));
    const bool fits =
        (config.os.empty() || config.os == platform_.os) &&
        (config.architecture.empty() || config.architecture == platform_.architecture);
    if (!fits) {
      return FailedPrecondition("image is for {}/{}, this node is {}", config.os,
                                config.architecture, platform_.text());
    }
    if (config.diff_ids.size() != manifest_.layers.size()) {
      return InvalidArgument("image config lists {} layers, the manifest {}",
                             config.diff_ids.size(), manifest_.layers.size());
    }
    for (const std::string& text : config.diff_ids) {
      auto diff_id = Digest::Parse(text);
      if (!diff_id.ok()) {
        return Annotate(diff_id.status(), "image config: diff_ids");
      }
      diff_ids_.push_back(*std::move(diff_id));
    }
    return absl::OkStatus();
  }

  absl::Status Commit(Context& ctx) {
    lacks_layers_ = false;
    LayerSet layers(env_, ImageLayers(env_, source_, manifest_, diff_ids_), reference_.canonical());
    {
      trace::Span span(ctx, "layers");
      span.Set("count", uint64_t{manifest_.layers.size()});
      RETURN_IF_ERROR(span.Outcome(layers.Fetch(ctx, progress_)));
    }
    RETURN_IF_ERROR(failpoint::Hit("pull_image.after_layers"));
    ctx.SetStage("commit " + reference_.canonical());
    RETURN_IF_ERROR(ctx.Check());
    storage::ImageRecord record;
    record.id = manifest_.config.digest.hex();
    record.config_json = config_json_;
    record.manifest_json = manifest_json_;
    record.layers = diff_ids_;
    record.pulled_at_ns = NowNanos();
    AddPulledNames(record, reference_, top_digest_, env_.config);
    trace::Span span(ctx, "commit");
    const absl::Status status = span.Outcome(env_.storage.CommitImage(record, layers.pending()));
    span.End();
    lacks_layers_ = !status.ok();
    layers.Settle();
    RETURN_IF_ERROR(status);
    return failpoint::Hit("pull_image.after_commit");
  }

  // The names of this pull, besides those that the image has.
  absl::Status AddNames(const storage::ImageRecord& present) {
    storage::ImageRecord record = present;
    record.tags.clear();
    record.digests.clear();
    record.pulled_at_ns = NowNanos();
    AddPulledNames(record, reference_, top_digest_, env_.config);
    return env_.storage.CommitImage(record, {});
  }

  PullResult Result(const std::string& id, bool present) const {
    return {.image_id = id,
            .reference = reference_.repository() + "@" + top_digest_.text(),
            .already_present = present};
  }

  const PullEnvironment& env_;
  const Reference& reference_;
  const PullRequest& request_;
  PullProgress& progress_;
  const std::shared_ptr<Source> source_;
  const Platform platform_ = Platform::Host();
  Digest top_digest_;  // of what the reference names: an index or a manifest
  Manifest manifest_;
  std::string manifest_json_;
  Digest manifest_digest_;
  std::string config_json_;
  std::vector<Digest> diff_ids_;
  bool lacks_layers_ = false;
};

}  // namespace

void PullProgress::Set(std::vector<LayerProgress> layers) {
  constexpr double kWeightOfTheNewest = 0.3;
  uint64_t bytes = 0;
  for (const LayerProgress& layer : layers) {
    bytes += layer.state == LayerProgress::State::kPresent ? 0 : layer.done_bytes;
  }
  absl::MutexLock lock(&mutex_);
  layers_ = std::move(layers);
  const auto now = Clock::now();
  const std::chrono::duration<double> passed = now - sampled_;
  if (passed < std::chrono::milliseconds(500)) {
    return;
  }
  // A layer that starts over makes it fewer.
  const double rate = static_cast<double>(bytes - std::min(bytes, sampled_bytes_)) / passed.count();
  rate_ = sampled_ == started_ ? rate : rate_ + kWeightOfTheNewest * (rate - rate_);
  sampled_ = now;
  sampled_bytes_ = bytes;
}

uint64_t PullProgress::bytes_per_second() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<uint64_t>(rate_);
}

void PullProgress::SetTrace(const trace::TraceId& trace) {
  absl::MutexLock lock(&mutex_);
  trace_ = trace;
}

trace::TraceId PullProgress::trace() const {
  absl::MutexLock lock(&mutex_);
  return trace_;
}

std::vector<LayerProgress> PullProgress::Get() const {
  absl::MutexLock lock(&mutex_);
  return layers_;
}

PullRequest WithName(PullRequest request, const Reference& reference) {
  request.name = reference.canonical();
  return request;
}

absl::StatusOr<PullResult> RunPull(Context& ctx, const PullEnvironment& environment,
                                   const Reference& reference, const PullRequest& request,
                                   PullProgress& progress) {
  trace::Span span(ctx, "pull");
  span.Set("image", reference.canonical());
  progress.SetTrace(span.context().trace_id);
  ASSIGN_OR_RETURN(auto source, Source::Create(ctx, reference, request, environment.config,
                                               environment.registries.Get(), &environment.ranges));
  auto result = PullJob(environment, reference, request, progress, std::move(source)).Run(ctx);
  RETURN_IF_ERROR(span.Outcome(result.status()));
  span.Set("present", result->already_present ? "yes" : "no");
  return result;
}

}  // namespace davit::image
