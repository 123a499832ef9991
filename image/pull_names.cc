// SPDX-License-Identifier: Apache-2.0
#include "image/pull_names.h"

#include <fnmatch.h>

namespace davit::image {

void AddPulledNames(storage::ImageRecord& record, const Reference& reference,
                    const Digest& top_digest, const config::Image& config) {
  if (reference.digest.empty()) {
    record.tags.push_back(reference.canonical());
  }
  record.digests.push_back(reference.repository() + "@" + top_digest.text());
  const std::string names[] = {reference.canonical(), reference.repository(),
                               record.digests.back()};
  for (const std::string& glob : config.pinned) {
    for (const std::string& name : names) {
      record.pinned = record.pinned || fnmatch(glob.c_str(), name.c_str(), 0) == 0;
    }
  }
}

}  // namespace davit::image
