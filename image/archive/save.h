// SPDX-License-Identifier: Apache-2.0
//
// Writes images as one tar that is both an OCI image layout (image-spec "Image Layout") and a
// docker-archive: oci-layout, index.json and manifest.json first, then each blob once.
// Configurations are the images' own, so IDs stay; layers are uncompressed, so each blob's digest
// is the diff ID, and the manifest is a new one. An artifact keeps its manifest, which its ID is
// the digest of, and its files are as they came.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "base/context.h"
#include "image/decompress.h"
#include "storage/storage.h"

namespace davit::image {

struct ImageToSave {
  std::shared_ptr<const storage::ImageRecord> image;
  std::vector<std::string> names;  // with tag; may be empty
};

// Streams; nothing is kept in memory but documents. FailedPrecondition names a layer that cannot be
// made again (of an artifact: a compressed archive that was unpacked), DataLoss one that is damaged
// (then the archive is not to be used).
absl::Status SaveArchive(Context& ctx, storage::Storage& storage,
                         const std::vector<ImageToSave>& images, const ByteSink& sink);

}  // namespace davit::image
