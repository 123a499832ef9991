// SPDX-License-Identifier: Apache-2.0
#include "image/signature/lookaside.h"

#include <fcntl.h>

#include <chrono>
#include <optional>

#include "base/file.h"
#include "base/rooted_path.h"
#include "base/status.h"
#include "image/http.h"

namespace davit::image {
namespace {

constexpr std::string_view kFileScheme = "file://";
constexpr size_t kMaxTotalBytes = size_t{8} << 20U;
constexpr int kMaxRedirects = 5;
constexpr std::chrono::seconds kProgressTimeout{15};
constexpr int kNotFound = 404;

std::string NameOf(const Reference& reference, const Digest& manifest, size_t nth) {
  return reference.path + "@" + manifest.algorithm() + "=" + manifest.hex() + "/signature-" +
         std::to_string(nth);
}

// One signature's bytes by its name; nothing if there is none of this name.
using Fetch = std::function<absl::StatusOr<std::optional<std::string>>(const std::string& name)>;

absl::StatusOr<std::vector<Signature>> FetchAll(const std::string& base, const Reference& reference,
                                                const Digest& manifest, const Fetch& fetch) {
  std::vector<Signature> signatures;
  size_t total = 0;
  for (size_t nth = 1; nth <= kMaxSignatures; ++nth) {
    const std::string name = NameOf(reference, manifest, nth);
    auto bytes = fetch(name);
    if (!bytes.ok()) {
      return Annotate(bytes.status(), "signature " + base + "/" + name);
    }
    if (!*bytes) {
      break;
    }
    total += (*bytes)->size();
    if (total > kMaxTotalBytes) {
      return ResourceExhausted("signatures in {} of {} are over {} bytes", base,
                               reference.canonical(), kMaxTotalBytes);
    }
    signatures.push_back({.kind = Signature::Kind::kSimpleSigning,
                          .origin = base + "/" + name,
                          .message = **std::move(bytes)});
  }
  return signatures;
}

absl::StatusOr<std::vector<Signature>> FetchFiles(const std::string& base,
                                                  const Reference& reference,
                                                  const Digest& manifest) {
  auto directory = Open(base.substr(kFileScheme.size()), O_PATH | O_DIRECTORY);
  if (absl::IsNotFound(directory.status())) {
    return std::vector<Signature>();
  }
  RETURN_IF_ERROR(directory.status());
  return FetchAll(
      base, reference, manifest,
      [&directory](const std::string& name) -> absl::StatusOr<std::optional<std::string>> {
        auto bytes = ReadFileInRoot(directory->get(), name, kMaxSignatureBytes);
        if (absl::IsNotFound(bytes.status())) {
          return std::nullopt;
        }
        RETURN_IF_ERROR(bytes.status());
        return *std::move(bytes);
      });
}

absl::StatusOr<std::optional<std::string>> Get(Context& ctx, HttpPool& pool, Url url) {
  std::string body;
  const BodySink sink = [&body](const HttpResponse&, std::span<const uint8_t> bytes) {
    if (body.size() + bytes.size() > kMaxSignatureBytes) {
      return ResourceExhausted("it is over {} bytes", kMaxSignatureBytes);
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  };
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    HttpRequest request;
    request.url = url;
    request.progress_timeout = kProgressTimeout;
    ASSIGN_OR_RETURN(const HttpResponse response, pool.Run(ctx, request, sink));
    if (response.status == kNotFound) {
      return std::nullopt;
    }
    if (response.status == 200) {
      return body;
    }
    if (response.status < 300 || response.status >= 400) {
      return Unavailable("{} answers with status {}", url.ForMessage(), response.status);
    }
    ASSIGN_OR_RETURN(Url next, url.Resolve(response.Header("location")));
    if (url.scheme == "https" && next.scheme != "https") {
      return Unavailable("{} redirects to plain http", url.ForMessage());
    }
    url = std::move(next);
  }
  return Unavailable("more than {} redirects", kMaxRedirects);
}

}  // namespace

absl::StatusOr<std::vector<Signature>> FetchLookaside(Context& ctx, const std::string& base,
                                                      const Reference& reference,
                                                      const Digest& manifest) {
  if (base.starts_with(kFileScheme)) {
    return FetchFiles(base, reference, manifest);
  }
  HttpPool pool;
  return FetchAll(base, reference, manifest,
                  [&](const std::string& name) -> absl::StatusOr<std::optional<std::string>> {
                    ASSIGN_OR_RETURN(Url url, Url::Parse(base + "/" + name));
                    return Get(ctx, pool, std::move(url));
                  });
}

}  // namespace davit::image
