// SPDX-License-Identifier: Apache-2.0
#include "server/container/rootfs_size.h"

#include "base/quantity.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/annotations.h"

namespace davit::server {

absl::StatusOr<uint64_t> RootfsSize(const runtime::v1::PodSandboxConfig& sandbox,
                                    const runtime::v1::ContainerConfig& container,
                                    const std::vector<std::string>& allowed_annotations) {
  if (!spec::IsAllowed(allowed_annotations, kRootfsSizeAnnotation)) {
    return 0;
  }
  for (const auto* annotations : {&container.annotations(), &sandbox.annotations()}) {
    const auto found = annotations->find(kRootfsSizeAnnotation);
    if (found == annotations->end()) {
      continue;
    }
    const auto size = ParseQuantity(found->second);
    if (!size || *size == 0) {
      return InvalidArgument("annotation {}: \"{}\" is no size such as 10Gi", kRootfsSizeAnnotation,
                             Printable(found->second));
    }
    return *size;
  }
  return 0;
}

}  // namespace davit::server
