// SPDX-License-Identifier: Apache-2.0
//
// Which part of a policy, or of registries.d, is about an image: the most specific scope that the
// file has, and no other.
#pragma once

#include <string>
#include <vector>

#include "image/policy/policy.h"
#include "image/reference.h"

namespace davit::image {

// From the most specific: the name with its tag or digest, the repository, its parents, the host
// with port, then "*.example.com" for each parent domain.
std::vector<std::string> ScopesOf(const Reference& reference);

struct ScopeMatch {
  std::string scope;  // for messages: `docker scope "registry.example/team"`
  const Requirements* requirements = nullptr;  // of the policy; never null
};

// For an image of a registry.
ScopeMatch MatchDocker(const Policy& policy, const Reference& reference);
// For an image of a file or directory: "docker-archive", "oci-archive", "oci", … `path` is
// absolute, without symlinks.
ScopeMatch MatchPath(const Policy& policy, const std::string& transport, const std::string& path);

}  // namespace davit::image
