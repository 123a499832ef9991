// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "server/spec/annotations.h"
#include "server/spec/sections.h"

namespace davit::server::spec {

ClassRequest RequestedClass(const SpecInput& input, const std::string& kind) {
  const std::string own = "io.kubernetes.cri." + kind + "-class";
  const std::string of_pod = kind + ".resources.beta.kubernetes.io/";
  const auto& container = input.container.annotations();
  const auto& pod = input.sandbox.annotations();
  for (const auto& [annotations, key] :
       {std::pair(&container, own),
        std::pair(&pod, of_pod + "container." + input.container.metadata().name()),
        std::pair(&pod, of_pod + "pod"), std::pair(&pod, own)}) {
    const auto found = annotations->find(key);
    if (found != annotations->end() && IsAllowed(input.allowed_annotations, key)) {
      return {.annotation = key, .name = found->second};
    }
  }
  return {};
}

}  // namespace davit::server::spec
