// SPDX-License-Identifier: Apache-2.0
//
// An OCI image layout directory (OCI image-spec, "image-layout") written from layers in memory, for
// `skopeo copy oci:DIR:TAG docker://…`. Deterministic: the same input gives the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "base/digest.h"

namespace davit::test {

enum class Compression { kNone, kGzip, kZstd };

struct LayerSpec {
  std::string tar;
  Compression compression = Compression::kGzip;
};

struct ImageSpec {
  std::vector<LayerSpec> layers;
  std::string architecture;  // "" means this machine's
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> env;
  std::string user;
  std::string working_dir;
  std::string stop_signal;
  std::vector<std::string> exposed_ports;  // "8080/tcp"
  std::vector<std::string> volumes;        // container paths
  bool index = false;                      // the tag names an image index with this one image
};

struct ArtifactFile {
  std::string title;  // "" for none
  std::string bytes;
  bool unpack = false;  // marked as ORAS marks the archive of a directory
};

// An OCI artifact (image-spec 1.1): an empty config, a layer for each file.
struct ArtifactSpec {
  std::string type = "application/vnd.davit.test";
  std::vector<ArtifactFile> files;
};

// GOARCH of this machine.
[[nodiscard]] std::string OwnArchitecture();

// Writes the layout with the one image (or artifact) under `tag`; `directory` is made or replaced
// file by file. Returns the digest of what the tag names.
absl::StatusOr<Digest> WriteLayout(const std::string& directory, const std::string& tag,
                                   const ImageSpec& image);

absl::StatusOr<Digest> WriteArtifactLayout(const std::string& directory, const std::string& tag,
                                           const ArtifactSpec& artifact);

absl::StatusOr<std::string> Compress(std::string_view bytes, Compression compression);

}  // namespace davit::test
