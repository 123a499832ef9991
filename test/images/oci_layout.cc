// SPDX-License-Identifier: Apache-2.0
#include "test/images/oci_layout.h"

#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/status.h"

namespace davit::test {
namespace {

using nlohmann::json;

constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";
constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kEmptyType[] = "application/vnd.oci.empty.v1+json";
constexpr char kFileType[] = "application/octet-stream";
constexpr char kEpoch[] = "1970-01-01T00:00:00Z";

const char* MediaType(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return "application/vnd.oci.image.layer.v1.tar+gzip";
    case Compression::kZstd:
      return "application/vnd.oci.image.layer.v1.tar+zstd";
    case Compression::kNone:
      break;
  }
  return "application/vnd.oci.image.layer.v1.tar";
}

class LayoutWriter {
 public:
  explicit LayoutWriter(std::string directory) : directory_(std::move(directory)) {}

  absl::Status Prepare() {
    RETURN_IF_ERROR(MakeDirs(JoinPath(directory_, "blobs/sha256"), 0755));
    return WriteFileAtomic(JoinPath(directory_, "oci-layout"),
                           json{{"imageLayoutVersion", "1.0.0"}}.dump(), 0644);
  }

  // Writes the blob; returns its descriptor.
  absl::StatusOr<json> Blob(const std::string& bytes, const char* media_type) {
    const Digest digest = Digest::Sha256Of(bytes);
    RETURN_IF_ERROR(
        WriteFileAtomic(JoinPath(directory_, "blobs/sha256/" + digest.hex()), bytes, 0644));
    return json{{"mediaType", media_type}, {"digest", digest.text()}, {"size", bytes.size()}};
  }

  absl::Status Index(json descriptor, const std::string& tag) {
    descriptor["annotations"] = {{"org.opencontainers.image.ref.name", tag}};
    const json index = {{"schemaVersion", 2}, {"manifests", json::array({descriptor})}};
    return WriteFileAtomic(JoinPath(directory_, "index.json"), index.dump(), 0644);
  }

 private:
  const std::string directory_;
};

json ConfigJson(const ImageSpec& image, const json& diff_ids) {
  json config = {{"Env", image.env}};
  const auto put = [&config](const char* key, const auto& value) {
    if (!value.empty()) {
      config[key] = value;
    }
  };
  put("Entrypoint", image.entrypoint);
  put("Cmd", image.cmd);
  put("User", image.user);
  put("WorkingDir", image.working_dir);
  put("StopSignal", image.stop_signal);
  for (const auto& volume : image.volumes) {
    config["Volumes"][volume] = json::object();
  }
  for (const auto& port : image.exposed_ports) {
    config["ExposedPorts"][port] = json::object();
  }
  json history = json::array();
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    history.push_back({{"created", kEpoch}, {"created_by", "davit-make-images"}});
  }
  return {{"created", kEpoch},
          {"architecture", image.architecture.empty() ? OwnArchitecture() : image.architecture},
          {"os", "linux"},
          {"config", config},
          {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}},
          {"history", history}};
}

absl::StatusOr<json> WriteManifest(LayoutWriter& writer, const ImageSpec& image) {
  json layers = json::array();
  json diff_ids = json::array();
  for (const auto& layer : image.layers) {
    ASSIGN_OR_RETURN(const std::string blob, Compress(layer.tar, layer.compression));
    ASSIGN_OR_RETURN(const json descriptor, writer.Blob(blob, MediaType(layer.compression)));
    layers.push_back(descriptor);
    diff_ids.push_back(Digest::Sha256Of(layer.tar).text());
  }
  ASSIGN_OR_RETURN(const json config, writer.Blob(ConfigJson(image, diff_ids).dump(), kConfigType));
  const json manifest = {
      {"schemaVersion", 2}, {"mediaType", kManifestType}, {"config", config}, {"layers", layers}};
  return writer.Blob(manifest.dump(), kManifestType);
}

}  // namespace

std::string OwnArchitecture() {
  utsname name = {};
  uname(&name);
  const std::string machine = name.machine;
  if (machine == "x86_64") {
    return "amd64";
  }
  return machine == "aarch64" ? "arm64" : machine;
}

absl::StatusOr<Digest> WriteArtifactLayout(const std::string& directory, const std::string& tag,
                                           const ArtifactSpec& artifact) {
  LayoutWriter writer(directory);
  RETURN_IF_ERROR(writer.Prepare());
  ASSIGN_OR_RETURN(const json config, writer.Blob("{}", kEmptyType));
  json layers = json::array();
  for (const ArtifactFile& file : artifact.files) {
    ASSIGN_OR_RETURN(json layer, writer.Blob(file.bytes, kFileType));
    if (!file.title.empty()) {
      layer["annotations"]["org.opencontainers.image.title"] = file.title;
    }
    if (file.unpack) {
      layer["annotations"]["io.deis.oras.content.unpack"] = "true";
    }
    layers.push_back(std::move(layer));
  }
  const json manifest = {{"schemaVersion", 2},
                         {"mediaType", kManifestType},
                         {"artifactType", artifact.type},
                         {"config", config},
                         {"layers", layers}};
  ASSIGN_OR_RETURN(const json named, writer.Blob(manifest.dump(), kManifestType));
  RETURN_IF_ERROR(writer.Index(named, tag));
  return Digest::Parse(named["digest"].get<std::string>());
}

absl::StatusOr<Digest> WriteLayout(const std::string& directory, const std::string& tag,
                                   const ImageSpec& image) {
  LayoutWriter writer(directory);
  RETURN_IF_ERROR(writer.Prepare());
  ASSIGN_OR_RETURN(json named, WriteManifest(writer, image));
  if (image.index) {
    const std::string architecture =
        image.architecture.empty() ? OwnArchitecture() : image.architecture;
    named["platform"] = {{"architecture", architecture}, {"os", "linux"}};
    const json index = {
        {"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", json::array({named})}};
    ASSIGN_OR_RETURN(named, writer.Blob(index.dump(), kIndexType));
  }
  RETURN_IF_ERROR(writer.Index(named, tag));
  return Digest::Parse(named["digest"].get<std::string>());
}

}  // namespace davit::test
