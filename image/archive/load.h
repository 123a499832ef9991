// SPDX-License-Identifier: Apache-2.0
//
// Takes images from an archive into the store: an OCI image layout as a tar (image-spec "Image
// Layout") or a docker-archive of any age, either of them compressed or not. All of it is foreign
// input: every blob's digest is compared with its name, every layer's diff ID with the image's
// configuration.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "config/config.h"
#include "storage/byte_source.h"
#include "storage/storage.h"

namespace davit::image {

struct LoadedImage {
  std::string id;
  std::vector<std::string> names;  // canonical, with tag
};

struct LoadOptions {
  // For images to which the archive gives a tag only; "": they stay nameless.
  std::string repository;
  // The node's word on what the archive turned out to be, "oci-archive" or "docker-archive", before
  // anything of it becomes visible (PolicyChecker::CheckFile). None: all are welcome.
  std::function<absl::Status(const std::string& transport)> admit;
};

// Streams; nothing of it becomes visible unless all images of the archive are good. `stop` makes a
// waiting `archive.Next` return.
absl::StatusOr<std::vector<LoadedImage>> LoadArchive(Context& ctx, storage::Storage& storage,
                                                     const config::Image& config,
                                                     const LoadOptions& options,
                                                     storage::ByteSource& archive,
                                                     std::function<void()> stop);

}  // namespace davit::image
