// SPDX-License-Identifier: Apache-2.0
#include "image/url.h"

#include <memory>

#include <curl/curl.h>

#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

struct FreeHandle {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using Handle = std::unique_ptr<CURLU, FreeHandle>;

constexpr size_t kMaxUrl = 16384;

std::string Part(const Handle& handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle.get(), part, &text, flags) != CURLUE_OK) {
    return "";
  }
  std::string copy = text;
  curl_free(text);
  return copy;
}

absl::StatusOr<Url> Read(const Handle& handle) {
  Url url;
  url.text = Part(handle, CURLUPART_URL);
  url.scheme = Part(handle, CURLUPART_SCHEME);
  url.host =
      Lower(Part(handle, CURLUPART_HOST)) + ":" + Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.path = Part(handle, CURLUPART_PATH);
  if (url.scheme != "http" && url.scheme != "https") {
    return InvalidArgument("URL has scheme '{}', only http and https are followed",
                           Printable(url.scheme, 20));
  }
  if (!Part(handle, CURLUPART_USER).empty() || !Part(handle, CURLUPART_PASSWORD).empty()) {
    return InvalidArgument("URL of host {} holds a user name or password",
                           Printable(url.host, 100));
  }
  return url;
}

}  // namespace

absl::StatusOr<Url> Url::Parse(const std::string& text) {
  const Handle handle(curl_url());
  if (text.size() > kMaxUrl || curl_url_set(handle.get(), CURLUPART_URL, text.c_str(),
                                            CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    return InvalidArgument("not a URL of http or https");
  }
  return Read(handle);
}

absl::StatusOr<Url> Url::Resolve(const std::string& location) const {
  const Handle handle(curl_url());
  if (location.empty() || location.size() > kMaxUrl ||
      curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
          CURLUE_OK) {
    return InvalidArgument("not a URL of http or https");
  }
  return Read(handle);
}

bool Url::SameOrigin(const Url& other) const {
  return scheme == other.scheme && host == other.host;
}

std::string Url::ForMessage() const {
  return Printable(scheme + "://" + host + path, 300);
}

std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return out;
}

}  // namespace davit::image
