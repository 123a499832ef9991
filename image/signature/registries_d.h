// SPDX-License-Identifier: Apache-2.0
//
// Where signatures of an image are, as containers-registries.d(5) says it: the directory's *.yaml
// files together. A scope counts for each key by itself: what it does not say, its parent scopes
// and then default-docker say. Plain values.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "image/reference.h"

namespace davit::image {

// Where signatures are looked for if no file says anything.
inline constexpr const char* kDefaultLookaside = "file:///var/lib/containers/sigstore";

struct SignatureLocations {
  std::string lookaside;     // http, https or file URL
  bool attachments = false;  // beside the image in its registry
};

class RegistriesD {
 public:
  // A directory that does not exist is empty. InvalidArgument names the file and the mistake: a key
  // that is not known, a scope in two files.
  static absl::StatusOr<RegistriesD> Load(const std::string& directory);

  [[nodiscard]] SignatureLocations For(const Reference& reference) const;

 private:
  struct Section {
    std::string lookaside;
    std::optional<bool> attachments;
  };
  friend class RegistriesDParser;
  std::map<std::string, Section> scopes_;  // "" is default-docker
};

}  // namespace davit::image
