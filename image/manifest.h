// SPDX-License-Identifier: Apache-2.0
//
// OCI image index and manifest, and Docker's manifest list and schema 2, read into one form. All of
// it is foreign input: every digest, size and media type is checked here, once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/digest.h"
#include "image/platform.h"

namespace davit::image {

inline constexpr size_t kMaxManifestBytes = size_t{4} << 20U;
inline constexpr size_t kMaxConfigBytes = size_t{8} << 20U;

// What manifests are asked for with.
extern const char* const kManifestAccept;

struct Descriptor {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;
  std::vector<std::string> urls;  // of foreign layers only
};

struct Layer {
  Descriptor blob;
  bool foreign = false;  // its bytes come from its URLs, not from the registry
};

struct Manifest {
  Descriptor config;
  std::vector<Layer> layers;  // lowest first
};

// kArtifact: an image manifest whose config is not of a container image (image-spec "Guidelines for
// Artifact Usage").
enum class DocumentKind { kIndex, kManifest, kArtifact };

// Which of them a document is, by its own mediaType, else by the Content-Type it came with.
// FailedPrecondition names a type that is neither; InvalidArgument if the two contradict each other
// or the document could be read as both.
absl::StatusOr<DocumentKind> KindOf(const std::string& json, const std::string& content_type);

// The entry for `platform`; FailedPrecondition lists what there is if none fits.
absl::StatusOr<Descriptor> ChooseFromIndex(const std::string& json, const Platform& platform);

// FailedPrecondition names a media type that is not of a container image.
absl::StatusOr<Manifest> ParseManifest(const std::string& json, int max_layers);

}  // namespace davit::image
