// SPDX-License-Identifier: Apache-2.0
//
// The manifest of an OCI artifact as a tree of files: each layer is one file, or, where its author
// says so, an archive of many. Names are foreign input: what would leave the tree, or two files in
// one place, is refused here.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "image/manifest.h"

namespace davit::image {

struct ArtifactFile {
  Descriptor blob;
  // Clean and relative: "models/a.bin". From the layer's title annotation (image-spec), else from
  // the file path annotation of the model spec, else "sha256-<hex>".
  std::string path;
  // The blob is a tar, compressed or not, of what belongs into the tree: how ORAS stores a
  // directory (io.deis.oras.content.unpack).
  bool unpack = false;
};

struct Artifact {
  std::string type;  // artifactType, else the config's media type; never empty
  Descriptor config;
  std::vector<ArtifactFile> files;
};

// What the storage knows a file's layer by: its bytes and its name. An archive's layer depends on
// its bytes alone, as an image's does.
Digest LayerKey(const ArtifactFile& file);

// InvalidArgument for a malformed manifest or name, ResourceExhausted for more than `max_files`.
absl::StatusOr<Artifact> ParseArtifact(const std::string& json, int max_files);

}  // namespace davit::image
