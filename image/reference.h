// SPDX-License-Identifier: Apache-2.0
//
// Image references by the distribution grammar: [domain/]path[:tag][@digest].
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "base/digest.h"

namespace davit::image {

struct Reference {
  std::string domain;  // "docker.io", "127.0.0.1:5000"; never empty after Parse
  std::string path;    // "library/busybox"
  std::string tag;     // "latest" where neither tag nor digest was given
  Digest digest;       // may be empty

  // Normalises: "busybox" -> docker.io/library/busybox:latest (or the given default domain).
  // InvalidArgument names the reference and what is wrong with it.
  static absl::StatusOr<Reference> Parse(const std::string& text,
                                         const std::string& default_domain = "docker.io");

  [[nodiscard]] std::string repository() const;  // domain/path
  // With the digest if there is one, else with the tag: the key of storage.
  [[nodiscard]] std::string canonical() const;
  // What is asked of the registry: digest or tag.
  [[nodiscard]] std::string manifest_reference() const;
};

// host[:port], where host is a DNS name, an IPv4 address or [IPv6].
[[nodiscard]] bool IsDomain(std::string_view text);

// Whether `text` names no registry: "busybox", "team/app:1". It may still be no reference.
[[nodiscard]] bool IsShortName(std::string_view text);

}  // namespace davit::image
