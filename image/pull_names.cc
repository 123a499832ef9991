// SPDX-License-Identifier: Apache-2.0
#include "image/pull_names.h"

#include "image/pinned.h"

namespace davit::image {

void AddPulledNames(storage::ImageRecord& record, const Reference& reference,
                    const Digest& top_digest, const config::Image& config) {
  if (reference.digest.empty()) {
    record.tags.push_back(reference.canonical());
  }
  record.digests.push_back(reference.repository() + "@" + top_digest.text());
  record.pinned = IsPinned(record, config.pinned);
}

}  // namespace davit::image
