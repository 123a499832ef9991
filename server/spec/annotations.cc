// SPDX-License-Identifier: Apache-2.0
#include "server/spec/annotations.h"

#include <algorithm>

#include "server/spec/sections.h"

namespace davit::server::spec {

bool IsAllowed(const std::vector<std::string>& allowed, const std::string& key) {
  return std::any_of(allowed.begin(), allowed.end(), [&key](const std::string& entry) {
    if (!entry.empty() && entry.back() == '*') {
      return key.compare(0, entry.size() - 1, entry, 0, entry.size() - 1) == 0;
    }
    return key == entry;
  });
}

Json BuildAnnotations(const SpecInput& input) {
  Json annotations = Json::object();
  for (const auto& [key, value] : input.sandbox.annotations()) {
    if (IsAllowed(input.allowed_annotations, key)) {
      annotations[key] = value;
    }
  }
  for (const auto& [key, value] : input.container.annotations()) {
    if (IsAllowed(input.allowed_annotations, key)) {
      annotations[key] = value;
    }
  }
  // Last, so that no request can say otherwise.
  annotations["io.kubernetes.cri.container-type"] = "container";
  annotations["io.kubernetes.cri.sandbox-id"] = input.sandbox_id;
  annotations["io.kubernetes.cri.container-name"] = input.container.metadata().name();
  annotations["io.kubernetes.cri.sandbox-name"] = input.sandbox.metadata().name();
  annotations["io.kubernetes.cri.sandbox-namespace"] = input.sandbox.metadata().namespace_();
  annotations["io.kubernetes.cri.sandbox-uid"] = input.sandbox.metadata().uid();
  annotations["io.kubernetes.cri.image-name"] = input.container.image().image();
  return annotations;
}

}  // namespace davit::server::spec
