// SPDX-License-Identifier: Apache-2.0
#include "image/manifest.h"

#include <array>
#include <limits>
#include <set>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::image {

const char* const kManifestAccept =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

namespace {

constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";

constexpr std::array<std::string_view, 3> kConfigTypes = {
    "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json",
    "application/octet-stream"};  // the last: Docker 1.10

constexpr std::array<std::string_view, 6> kLayerTypes = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd"};

constexpr std::array<std::string_view, 5> kForeignTypes = {
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"};

constexpr size_t kMaxIndexEntries = 4096;
constexpr size_t kMaxUrls = 16;

template <size_t N>
bool Contains(const std::array<std::string_view, N>& types, std::string_view type) {
  for (const std::string_view known : types) {
    if (known == type) {
      return true;
    }
  }
  return false;
}

bool IsIndexType(std::string_view type) {
  return type == kOciIndex || type == kDockerList;
}

bool IsManifestType(std::string_view type) {
  return type == kOciManifest || type == kDockerManifest;
}

bool IsKnown(std::string_view type) {
  return IsIndexType(type) || IsManifestType(type);
}

// The config's type decides; the type that Docker 1.10 gave its configs says nothing, so there an
// artifactType does.
DocumentKind ManifestOrArtifact(const nlohmann::json& root) {
  const std::string config_type = JsonString(JsonChild(root, "config"), "mediaType");
  const bool unclear = config_type.empty() || config_type == kConfigTypes.back();
  const bool artifact =
      unclear ? !JsonString(root, "artifactType").empty() : !Contains(kConfigTypes, config_type);
  return artifact ? DocumentKind::kArtifact : DocumentKind::kManifest;
}

// Without parameters: "application/json; charset=utf-8".
std::string BareType(const std::string& content_type) {
  return Lower(Trim(std::string_view(content_type).substr(0, content_type.find(';'))));
}

absl::StatusOr<nlohmann::json> ParseObject(const std::string& json) {
  ASSIGN_OR_RETURN(nlohmann::json root, ParseJson(json, "manifest", kMaxManifestBytes));
  if (!root.is_object()) {
    return InvalidArgument("manifest is not a JSON object");
  }
  return root;
}

absl::StatusOr<Descriptor> ParseDescriptor(const nlohmann::json& json, const std::string& what) {
  if (!json.is_object()) {
    return InvalidArgument("manifest: {} is not an object", what);
  }
  Descriptor descriptor;
  descriptor.media_type = JsonString(json, "mediaType");
  if (descriptor.media_type.empty()) {
    return InvalidArgument("manifest: {} has no mediaType", what);
  }
  auto digest = Digest::Parse(JsonString(json, "digest"));
  if (!digest.ok()) {
    return Annotate(digest.status(), "manifest: " + what);
  }
  descriptor.digest = *std::move(digest);
  const int64_t size = JsonInt(json, "size", -1);
  if (size < 0) {
    return InvalidArgument("manifest: {} has no valid size", what);
  }
  descriptor.size = static_cast<uint64_t>(size);
  const nlohmann::json& urls = JsonChild(json, "urls");
  for (size_t i = 0; urls.is_array() && i < urls.size() && i < kMaxUrls; ++i) {
    if (urls[i].is_string()) {
      descriptor.urls.push_back(urls[i].get<std::string>());
    }
  }
  return descriptor;
}

absl::StatusOr<Layer> ParseLayer(const nlohmann::json& json, size_t index) {
  Layer layer;
  ASSIGN_OR_RETURN(layer.blob, ParseDescriptor(json, "layer " + std::to_string(index)));
  layer.foreign = Contains(kForeignTypes, layer.blob.media_type);
  if (!layer.foreign && !Contains(kLayerTypes, layer.blob.media_type)) {
    return FailedPrecondition("layer {} has media type '{}', which is not a supported layer",
                              layer.blob.digest.text(), Printable(layer.blob.media_type, 150));
  }
  return layer;
}

std::string PlatformOf(const nlohmann::json& entry) {
  const nlohmann::json& platform = JsonChild(entry, "platform");
  std::string text =
      JsonString(platform, "os", "?") + "/" + JsonString(platform, "architecture", "?");
  if (const std::string variant = JsonString(platform, "variant"); !variant.empty()) {
    text += "/" + variant;
  }
  return text;
}

std::string Offered(const nlohmann::json& entries) {
  std::set<std::string> platforms;
  for (const nlohmann::json& entry : entries) {
    if (const std::string text = PlatformOf(entry); text != "unknown/unknown") {
      platforms.insert(text);
    }
  }
  return platforms.empty()
             ? "nothing"
             : Printable(Join(std::vector<std::string>(platforms.begin(), platforms.end()), ", "));
}

}  // namespace

absl::StatusOr<DocumentKind> KindOf(const std::string& json, const std::string& content_type) {
  ASSIGN_OR_RETURN(const nlohmann::json root, ParseObject(json));
  const std::string own = JsonString(root, "mediaType");
  const std::string header = BareType(content_type);
  if (JsonInt(root, "schemaVersion", 2) == 1) {
    return FailedPrecondition("manifest is of Docker schema 1, which is not supported: push again");
  }
  if (!own.empty() && !IsKnown(own)) {
    return FailedPrecondition("manifest has media type '{}', which is not a container image",
                              Printable(own, 150));
  }
  if (!own.empty() && IsKnown(header) && own != header) {
    return InvalidArgument("manifest says it is '{}', the registry sent it as '{}'", own, header);
  }
  // One digest must not mean two images to two readers: a document that can be read as both is
  // none.
  if (root.contains("manifests") && (root.contains("layers") || root.contains("config"))) {
    return InvalidArgument("manifest is both an index and an image manifest");
  }
  const std::string& type = own.empty() ? header : own;
  if (IsIndexType(type)) {
    return DocumentKind::kIndex;
  }
  if (IsManifestType(type)) {
    return ManifestOrArtifact(root);
  }
  // OCI documents may go without a mediaType, and plain file servers know no better header.
  if (root.contains("manifests")) {
    return DocumentKind::kIndex;
  }
  if (root.contains("layers")) {
    return ManifestOrArtifact(root);
  }
  return FailedPrecondition("manifest has media type '{}', which is not a container image",
                            Printable(type, 150));
}

absl::StatusOr<Descriptor> ChooseFromIndex(const std::string& json, const Platform& platform) {
  ASSIGN_OR_RETURN(const nlohmann::json root, ParseObject(json));
  const nlohmann::json& entries = JsonChild(root, "manifests");
  if (!entries.is_array()) {
    return InvalidArgument("image index has no list of manifests");
  }
  if (entries.size() > kMaxIndexEntries) {
    return InvalidArgument("image index has {} entries, at most {} are accepted", entries.size(),
                           kMaxIndexEntries);
  }
  const nlohmann::json* best = nullptr;
  int best_fit = 0;
  for (const nlohmann::json& entry : entries) {
    const nlohmann::json& wanted = JsonChild(entry, "platform");
    // An entry without a platform is meant for any, but the last choice.
    const int fit = wanted.empty() && entry.is_object() && IsKnown(JsonString(entry, "mediaType"))
                        ? 1
                        : platform.Fit(JsonString(wanted, "os"), JsonString(wanted, "architecture"),
                                       JsonString(wanted, "variant")) *
                              2;
    if (fit > best_fit) {
      best = &entry;
      best_fit = fit;
    }
  }
  if (best == nullptr) {
    return FailedPrecondition("image index has no manifest for {}, it has: {}", platform.text(),
                              Offered(entries));
  }
  ASSIGN_OR_RETURN(Descriptor chosen, ParseDescriptor(*best, "entry for " + platform.text()));
  if (!IsKnown(chosen.media_type)) {
    return FailedPrecondition("index entry {} has media type '{}', which is not a container image",
                              chosen.digest.text(), Printable(chosen.media_type, 150));
  }
  return chosen;
}

absl::StatusOr<Manifest> ParseManifest(const std::string& json, int max_layers) {
  ASSIGN_OR_RETURN(const nlohmann::json root, ParseObject(json));
  Manifest manifest;
  ASSIGN_OR_RETURN(manifest.config, ParseDescriptor(JsonChild(root, "config"), "config"));
  if (!Contains(kConfigTypes, manifest.config.media_type)) {
    return FailedPrecondition("config has media type '{}': an artifact, not a container image",
                              Printable(manifest.config.media_type, 150));
  }
  if (manifest.config.size > kMaxConfigBytes) {
    return ResourceExhausted("image config has {} bytes, at most {} are accepted",
                             manifest.config.size, kMaxConfigBytes);
  }
  const nlohmann::json& layers = JsonChild(root, "layers");
  if (!layers.is_array() || layers.empty()) {
    return InvalidArgument("manifest has no layers");
  }
  if (layers.size() > static_cast<size_t>(max_layers)) {
    return ResourceExhausted("image has {} layers, at most {} are accepted (image.max_layers)",
                             layers.size(), max_layers);
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    ASSIGN_OR_RETURN(Layer layer, ParseLayer(layers[i], i));
    manifest.layers.push_back(std::move(layer));
  }
  return manifest;
}

}  // namespace davit::image
