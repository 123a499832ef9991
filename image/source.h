// SPDX-License-Identifier: Apache-2.0
//
// The places one repository is fetched from, behind three verbs: what a tag means, a manifest, a
// blob. Endpoints are tried in order, each with retries and growing pauses; a blob broken off
// halfway goes on where it stopped, at the next endpoint too. What a request's own credentials are
// for is the origin registry: mirrors get only what the auth file has for them. Thread-safe; one
// for each pull.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "config/config.h"
#include "image/decompress.h"
#include "image/manifest.h"
#include "image/puller.h"
#include "image/ranges.h"
#include "image/reference.h"
#include "image/registries/registries.h"
#include "image/registry_client.h"

namespace davit::image {

struct Document {
  std::string json;
  std::string content_type;
  Digest digest;  // of `json`; checked against what was asked for and what the registry says
};

class Source {
 public:
  // Takes what credentials the request has, see image/auth/lookup.h. With `ranges`, which outlives
  // it, large blobs come over several connections.
  static absl::StatusOr<std::shared_ptr<Source>> Create(Context& ctx, const Reference& reference,
                                                        const PullRequest& request,
                                                        const config::Image& config,
                                                        RegistriesPtr registries,
                                                        RangePool* ranges = nullptr);

  // With registries.conf as it is on the disk now, for who has no Registries at hand.
  static absl::StatusOr<std::shared_ptr<Source>> Create(Context& ctx, const Reference& reference,
                                                        const PullRequest& request,
                                                        const config::Image& config);

  // The digest the registry has for a tag; empty if it does not say, for whatever reason.
  Digest HeadManifest(Context& ctx, const std::string& tag);

  // By tag or digest. DataLoss if the bytes are not those of the digest.
  absl::StatusOr<Document> FetchManifest(Context& ctx, const std::string& tag_or_digest);

  // A whole small blob, size and digest checked.
  absl::StatusOr<std::string> FetchBlob(Context& ctx, const Descriptor& blob);

  // Passes the blob's bytes to `sink`, from the endpoint `first` (of endpoint_count()) on, and
  // checks their number; their digest is the caller's matter. DataLoss if there are more or fewer.
  absl::Status StreamBlob(Context& ctx, const Descriptor& blob, size_t first, const ByteSink& sink);
  // The same from the descriptor's URLs, without credentials.
  absl::Status StreamForeign(Context& ctx, const Descriptor& blob, const ByteSink& sink);

  [[nodiscard]] size_t endpoint_count() const { return clients_.size(); }

 private:
  Source(const config::Image& config, RegistriesPtr registries, RangePool* ranges)
      : config_(config), registries_(std::move(registries)), ranges_(ranges) {}

  // The index of the nth endpoint to try.
  [[nodiscard]] size_t IndexOf(size_t nth) const {
    return (preferred_.load() + nth) % clients_.size();
  }
  absl::StatusOr<Document> ManifestFrom(Context& ctx, RegistryClient& client,
                                        const std::string& tag_or_digest);
  [[nodiscard]] absl::Status CheckForeign(const std::string& url) const;

  const config::Image& config_;
  const RegistriesPtr registries_;  // as they were when the pull began
  RangePool* const ranges_;
  std::vector<std::unique_ptr<RegistryClient>> clients_;  // mirrors first, the origin last
  std::deque<RangeSupport> range_support_;                // of each
  std::atomic<size_t> preferred_ = 0;                     // which one gave the manifest
};

}  // namespace davit::image
