// SPDX-License-Identifier: Apache-2.0
//
// http and https URLs. Queries carry signatures, so a URL is shown without its own.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace davit::image {

struct Url {
  std::string text;
  std::string scheme;  // "http" or "https"
  std::string host;    // "registry.k8s.io:443": always with the port
  std::string path;

  // InvalidArgument unless http or https, without user and password.
  static absl::StatusOr<Url> Parse(const std::string& text);
  // Where a Location header leads from here.
  [[nodiscard]] absl::StatusOr<Url> Resolve(const std::string& location) const;

  [[nodiscard]] bool SameOrigin(const Url& other) const;
  [[nodiscard]] std::string ForMessage() const;
};

[[nodiscard]] std::string PercentEncode(std::string_view text);

}  // namespace davit::image
