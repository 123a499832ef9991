// SPDX-License-Identifier: Apache-2.0
#include "image/source.h"

#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "image/auth/lookup.h"
#include "image/registries/certs.h"
#include "image/retry.h"

namespace davit::image {
namespace {

using std::chrono::milliseconds;

// Sends until the answer is final: a 2xx, or an error that a retry does not mend. `restart` empties
// what a broken attempt has left.
absl::StatusOr<HttpResponse> SendWithRetry(Context& ctx, RegistryClient& client,
                                           const RegistryRequest& request, const BodySink& sink,
                                           const std::function<void()>& restart) {
  for (int failures = 1;; ++failures) {
    restart();
    milliseconds wanted{0};
    auto response = client.Send(ctx, request, sink);
    absl::Status status = response.status();
    if (response.ok()) {
      status = StatusOf(*response, client.endpoint().host, request.path);
      wanted = RetryAfter(*response);
    }
    if (status.ok()) {
      return response;
    }
    RETURN_IF_ERROR(ctx.Check());
    if (!IsTransient(status) || failures >= kAttempts) {
      return status;
    }
    RETURN_IF_ERROR(PauseBeforeRetry(ctx, status, failures, wanted));
  }
}

// A sink that collects at most `limit` bytes.
BodySink CollectInto(std::string& body, size_t limit, const std::string& what) {
  return [&body, limit, what](const HttpResponse&, std::span<const uint8_t> bytes) {
    if (body.size() + bytes.size() > limit) {
      return ResourceExhausted("{} is over {} bytes", what, limit);
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  };
}

absl::StatusOr<Digest> DigestOfAs(const std::string& bytes, const Digest& wanted) {
  Hasher hasher(wanted.algorithm());
  hasher.Update({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  const Digest digest = hasher.Finish();
  if (digest != wanted) {
    return DataLoss("has digest {}, not {}", digest.text(), wanted.text());
  }
  return digest;
}

// What came has to be what was asked for, and what the registry says that it sent.
absl::StatusOr<Digest> VerifyManifest(const std::string& json, const std::string& asked,
                                      const std::string& said) {
  Digest digest;
  if (asked.find(':') != std::string::npos) {
    ASSIGN_OR_RETURN(const Digest wanted, Digest::Parse(asked));
    ASSIGN_OR_RETURN(digest, DigestOfAs(json, wanted));
  }
  if (!said.empty()) {
    auto wanted = Digest::Parse(said);
    if (!wanted.ok()) {
      return DataLoss("comes with an invalid Docker-Content-Digest '{}'", Printable(said, 150));
    }
    ASSIGN_OR_RETURN(const Digest same, DigestOfAs(json, *wanted));
    return digest.empty() ? same : digest;
  }
  return digest.empty() ? Digest::Sha256Of(json) : digest;
}

// With a failure of every endpoint, the origin's words count; the mirrors' come after.
absl::Status Combine(const absl::Status& last, const std::vector<std::string>& mirrors) {
  if (mirrors.empty()) {
    return last;
  }
  return absl::Status(last.code(), Message(last) + " (mirrors: " + Join(mirrors, "; ") + ")");
}

}  // namespace

absl::StatusOr<std::shared_ptr<Source>> Source::Create(Context& ctx, const Reference& reference,
                                                       const PullRequest& request,
                                                       const config::Image& config,
                                                       RegistriesPtr registries,
                                                       RangePool* ranges) {
  ASSIGN_OR_RETURN(const std::vector<Endpoint> endpoints,
                   EndpointsFor(reference, *registries, config));
  ASSIGN_OR_RETURN(CredentialLookup credentials,
                   CredentialLookup::Create(request, reference, *registries, config));
  auto pool = std::make_shared<HttpPool>();
  RegistryOptions options;
  options.progress_timeout = config.progress_timeout;
  options.min_bytes_per_second = static_cast<uint64_t>(config.min_bytes_per_second);
  options.plain_http_allowed = [&config, registries](const std::string& host) {
    return PlainHttpAllowed(host, *registries, config);
  };
  options.tls_of = [&config](const std::string& host) {
    return FindCertsOfUrl(config.certs_dirs, host);
  };
  std::shared_ptr<Source> source(new Source(config, std::move(registries), ranges));
  for (const Endpoint& endpoint : endpoints) {
    ASSIGN_OR_RETURN(Credentials own, credentials.For(ctx, endpoint));
    source->clients_.push_back(
        std::make_unique<RegistryClient>(endpoint, std::move(own), options, pool));
    source->range_support_.emplace_back();
  }
  return source;
}

absl::StatusOr<std::shared_ptr<Source>> Source::Create(Context& ctx, const Reference& reference,
                                                       const PullRequest& request,
                                                       const config::Image& config) {
  ASSIGN_OR_RETURN(RegistriesConf conf,
                   LoadRegistriesConf({.file = config.registries_conf,
                                       .directory = config.registries_conf_dir,
                                       .short_name_aliases = config.short_name_aliases}));
  return Create(ctx, reference, request, config,
                std::make_shared<const RegistriesConf>(std::move(conf)));
}

Digest Source::HeadManifest(Context& ctx, const std::string& tag) {
  const RegistryRequest request = {
      .method = "HEAD", .path = "manifests/" + tag, .accept = kManifestAccept};
  const BodySink ignore = [](const HttpResponse&, std::span<const uint8_t>) {
    return absl::OkStatus();
  };
  auto response = clients_[IndexOf(0)]->Send(ctx, request, ignore);
  if (!response.ok() || response->status != 200) {
    return {};
  }
  return Digest::Parse(response->Header("docker-content-digest")).value_or(Digest());
}

absl::StatusOr<Document> Source::FetchManifest(Context& ctx, const std::string& tag_or_digest) {
  std::vector<std::string> mirrors;
  for (size_t i = 0;; ++i) {
    auto document = ManifestFrom(ctx, *clients_[IndexOf(i)], tag_or_digest);
    if (document.ok()) {
      preferred_ = IndexOf(i);
      return document;
    }
    RETURN_IF_ERROR(ctx.Check());
    if (i + 1 == clients_.size()) {
      return Combine(document.status(), mirrors);
    }
    mirrors.push_back(Message(document.status()));
  }
}

absl::StatusOr<Document> Source::ManifestFrom(Context& ctx, RegistryClient& client,
                                              const std::string& tag_or_digest) {
  const RegistryRequest request = {.path = "manifests/" + tag_or_digest, .accept = kManifestAccept};
  Document document;
  ASSIGN_OR_RETURN(
      const HttpResponse response,
      SendWithRetry(ctx, client, request, CollectInto(document.json, kMaxManifestBytes, "manifest"),
                    [&document] { document.json.clear(); }));
  document.content_type = response.Header("content-type");
  auto digest =
      VerifyManifest(document.json, tag_or_digest, response.Header("docker-content-digest"));
  if (!digest.ok()) {
    return Annotate(digest.status(), "manifest from " + client.endpoint().host);
  }
  document.digest = *std::move(digest);
  return document;
}

absl::StatusOr<std::string> Source::FetchBlob(Context& ctx, const Descriptor& blob) {
  std::string bytes;
  absl::Status status;
  for (size_t first = 0; first < clients_.size(); ++first) {
    bytes.clear();
    status = StreamBlob(ctx, blob, first, [&bytes](std::span<const uint8_t> more) {
      bytes.append(reinterpret_cast<const char*>(more.data()), more.size());
      return absl::OkStatus();
    });
    if (status.ok()) {
      status = Annotate(DigestOfAs(bytes, blob.digest).status(), "blob");
    }
    if (!absl::IsDataLoss(status)) {
      break;
    }
  }
  RETURN_IF_ERROR(status);
  return bytes;
}

absl::Status Source::StreamBlob(Context& ctx, const Descriptor& blob, size_t first,
                                const ByteSink& sink) {
  Transfer transfer{
      .blob = blob, .sink = sink, .path = "blobs/" + blob.digest.text(), .end = blob.size};
  std::vector<std::string> others;
  for (size_t i = first;; ++i) {
    const size_t index = IndexOf(i);
    const absl::Status status =
        RunBlobTransfer(ctx, *clients_[index], transfer, ranges_, range_support_[index]);
    if (status.ok() || transfer.final || !ctx.Check().ok()) {
      return status;
    }
    if (i + 1 >= clients_.size()) {
      return Combine(status, others);
    }
    others.push_back(Message(status));
  }
}

absl::Status Source::CheckForeign(const std::string& text) const {
  ASSIGN_OR_RETURN(const Url url, Url::Parse(text));
  // The author of an image must not make the node ask its own plain services.
  if (url.scheme == "http" && !IsInsecureRegistry(url.host, *registries_, config_)) {
    return PermissionDenied("{} is plain http (image.insecure_registries does not list it)",
                            url.ForMessage());
  }
  return absl::OkStatus();
}

absl::Status Source::StreamForeign(Context& ctx, const Descriptor& blob, const ByteSink& sink) {
  absl::Status status = NotFound("its descriptor has no URL");
  uint64_t done = 0;
  for (const std::string& url : blob.urls) {
    status = CheckForeign(url);
    if (status.ok()) {
      Transfer transfer{.blob = blob,
                        .sink = sink,
                        .path = "foreign layer",
                        .url = url,
                        .done = done,
                        .end = blob.size};
      status = RunTransfer(ctx, *clients_.back(), transfer);
      done = transfer.done;
      if (status.ok() || transfer.final) {
        return status;
      }
    }
    RETURN_IF_ERROR(ctx.Check());
  }
  return FailedPrecondition(
      "layer {} of type '{}' is not in the registry, and cannot be had from its "
      "own URLs: {}",
      blob.digest.text(), blob.media_type, Message(status));
}

}  // namespace davit::image
