// SPDX-License-Identifier: Apache-2.0
#include "image/artifact/artifact_manifest.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "image/descriptor_json.h"

namespace davit::image {
namespace {

// The layer of an artifact that has no content (image-spec "Guidance for an Empty Descriptor").
constexpr std::string_view kEmptyType = "application/vnd.oci.empty.v1+json";
constexpr const char* kNameAnnotations[] = {"org.opencontainers.image.title",
                                            "org.cncf.model.filepath", "org.cnai.model.filepath"};
constexpr char kUnpackAnnotation[] = "io.deis.oras.content.unpack";
constexpr size_t kMaxPath = 1024;
constexpr size_t kMaxName = 255;
constexpr size_t kMaxType = 1024;

bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// A name that an archive would take for a whiteout is none that a file can have.
absl::Status CheckName(const std::string& name, const std::string& path) {
  if (name == ".." || name.starts_with(".wh.") || name.size() > kMaxName) {
    return InvalidArgument("artifact: file name '{}' has a part '{}' that no file can have here",
                           Printable(path, 200), Printable(name, 80));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CleanPath(const std::string& path) {
  if (path.starts_with('/') || path.size() > kMaxPath ||
      std::any_of(path.begin(), path.end(), IsControl)) {
    return InvalidArgument(
        "artifact: file name '{}' must be relative, of at most {} bytes and without control "
        "characters",
        Printable(path, 200), kMaxPath);
  }
  std::vector<std::string> parts;
  for (const std::string& part : Split(path, '/')) {
    RETURN_IF_ERROR(CheckName(part, path));
    if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  }
  if (parts.empty()) {
    return InvalidArgument("artifact: file name '{}' names no file", Printable(path, 200));
  }
  return Join(parts, "/");
}

absl::StatusOr<ArtifactFile> ParseFile(const nlohmann::json& json, size_t index) {
  ArtifactFile file;
  ASSIGN_OR_RETURN(file.blob, ParseDescriptor(json, "layer " + std::to_string(index)));
  const nlohmann::json& annotations = JsonChild(json, "annotations");
  file.unpack = JsonString(annotations, kUnpackAnnotation) == "true";
  for (const char* key : kNameAnnotations) {
    if (const std::string name = JsonString(annotations, key); !name.empty()) {
      ASSIGN_OR_RETURN(file.path, CleanPath(name));
      return file;
    }
  }
  file.path = file.blob.digest.algorithm() + "-" + file.blob.digest.hex();
  return file;
}

// Keeps each file once; what stands where another file or its directory stands is refused.
class Tree {
 public:
  absl::Status Add(ArtifactFile file) {
    const auto [same, added] = digests_.emplace(file.path, file.blob.digest);
    if (!added && same->second == file.blob.digest) {
      return absl::OkStatus();
    }
    if (!added) {
      return InvalidArgument("artifact: two files have the name '{}'", Printable(file.path, 200));
    }
    files_.push_back(std::move(file));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<ArtifactFile>> Take() {
    for (const ArtifactFile& file : files_) {
      if (file.unpack) {
        continue;  // a directory, in which other files may lie
      }
      const auto below = digests_.lower_bound(file.path + "/");
      if (below != digests_.end() && below->first.starts_with(file.path + "/")) {
        return InvalidArgument("artifact: '{}' is a file and the directory of '{}'",
                               Printable(file.path, 200), Printable(below->first, 200));
      }
    }
    return std::move(files_);
  }

 private:
  std::map<std::string, Digest> digests_;
  std::vector<ArtifactFile> files_;
};

}  // namespace

Digest LayerKey(const ArtifactFile& file) {
  if (file.unpack) {
    return file.blob.digest;
  }
  return Digest::Sha256Of("artifact file " + file.blob.digest.text() + " " + file.path);
}

absl::StatusOr<Artifact> ParseArtifact(const std::string& json, int max_files) {
  ASSIGN_OR_RETURN(const nlohmann::json root, ParseJson(json, "manifest", kMaxManifestBytes));
  if (!root.is_object()) {
    return InvalidArgument("manifest is not a JSON object");
  }
  Artifact artifact;
  ASSIGN_OR_RETURN(artifact.config, ParseDescriptor(JsonChild(root, "config"), "config"));
  if (artifact.config.size > kMaxConfigBytes) {
    return ResourceExhausted("artifact config has {} bytes, at most {} are accepted",
                             artifact.config.size, kMaxConfigBytes);
  }
  artifact.type = JsonString(root, "artifactType", artifact.config.media_type);
  if (artifact.type.empty() || artifact.type.size() > kMaxType) {
    return InvalidArgument("manifest: artifactType is empty or over {} bytes", kMaxType);
  }
  const nlohmann::json& layers = JsonChild(root, "layers");
  if (!layers.is_array()) {
    return InvalidArgument("manifest has no list of layers");
  }
  if (layers.size() > static_cast<size_t>(max_files)) {
    return ResourceExhausted("artifact has {} files, at most {} are accepted (image.max_layers)",
                             layers.size(), max_files);
  }
  Tree tree;
  for (size_t i = 0; i < layers.size(); ++i) {
    ASSIGN_OR_RETURN(ArtifactFile file, ParseFile(layers[i], i));
    if (file.blob.media_type != kEmptyType) {
      RETURN_IF_ERROR(tree.Add(std::move(file)));
    }
  }
  ASSIGN_OR_RETURN(artifact.files, tree.Take());
  return artifact;
}

}  // namespace davit::image
