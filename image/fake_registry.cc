// SPDX-License-Identifier: Apache-2.0
#include "image/fake_registry.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "image/auth/login.h"
#include "image/platform.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

using Json = nlohmann::json;

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kToken = "Bearer good-token";

Json DescriptorOf(const FakeImage::Blob& blob) {
  Json descriptor = {{"mediaType", blob.media_type},
                     {"digest", Digest::Sha256Of(blob.bytes).text()},
                     {"size", blob.bytes.size()}};
  if (!blob.urls.empty()) {
    descriptor["urls"] = Json::parse(blob.urls);
  }
  return descriptor;
}

}  // namespace

void UpdateManifest(FakeImage& image) {
  Json manifest = {
      {"schemaVersion", 2},
      {"mediaType", kManifestType},
      {"config", DescriptorOf({"application/vnd.oci.image.config.v1+json", image.config})},
      {"layers", Json::array()}};
  for (const FakeImage::Blob& layer : image.layers) {
    manifest["layers"].push_back(DescriptorOf(layer));
  }
  image.manifest = manifest.dump();
}

FakeImage MakeImage(const std::vector<std::string>& tars, const std::string& architecture) {
  FakeImage image;
  Json diff_ids = Json::array();
  for (const std::string& tar : tars) {
    image.layers.push_back({"application/vnd.oci.image.layer.v1.tar+gzip", Gzip(tar)});
    diff_ids.push_back(Digest::Sha256Of(tar).text());
  }
  image.config =
      Json{{"os", "linux"},
           {"architecture", architecture.empty() ? Platform::Host().architecture : architecture},
           {"config", {{"Cmd", {"/bin/sh"}}}},
           {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}}
          .dump();
  UpdateManifest(image);
  return image;
}

FakeRegistry::FakeRegistry(uint16_t port)
    : server_([this](const FakeRequest& request) { return Handle(request); }, port) {}

void FakeRegistry::Add(const std::string& repository, const std::string& tag,
                       const FakeImage& image) {
  AddManifest(repository, tag, kManifestType, image.manifest);
  AddManifest(repository, image.digest().text(), kManifestType, image.manifest);
  absl::MutexLock lock(&mutex_);
  blobs_[Digest::Sha256Of(image.config).text()] = image.config;
  for (const FakeImage::Blob& layer : image.layers) {
    if (layer.urls.empty()) {
      blobs_[Digest::Sha256Of(layer.bytes).text()] = layer.bytes;
    }
  }
}

void FakeRegistry::AddBlob(const Digest& digest, const std::string& bytes) {
  absl::MutexLock lock(&mutex_);
  blobs_[digest.text()] = bytes;
}

void FakeRegistry::AddManifest(const std::string& repository, const std::string& reference,
                               const std::string& media_type, const std::string& bytes) {
  absl::MutexLock lock(&mutex_);
  manifests_[repository + "/" + reference] = {media_type, bytes};
}

void FakeRegistry::Inject(const std::string& part, int times, Fault fault) {
  absl::MutexLock lock(&mutex_);
  faults_.push_back({part, times, std::move(fault)});
}

void FakeRegistry::ClearFaults() {
  absl::MutexLock lock(&mutex_);
  faults_.clear();
}

void FakeRegistry::RequireToken(const std::string& username, const std::string& password) {
  absl::MutexLock lock(&mutex_);
  tokens_ = true;
  basic_ = BasicHeader({username, password});
}

void FakeRegistry::RequireBasic(const std::string& username, const std::string& password) {
  absl::MutexLock lock(&mutex_);
  basic_ = BasicHeader({username, password});
}

void FakeRegistry::ForbidRanges() {
  absl::MutexLock lock(&mutex_);
  ranges_ = false;
}

std::vector<std::string> FakeRegistry::TakeRequests() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(requests_, {});
}

std::vector<std::string> FakeRegistry::authorizations() const {
  absl::MutexLock lock(&mutex_);
  return authorizations_;
}

FakeResponse FakeRegistry::Handle(const FakeRequest& request) {
  absl::MutexLock lock(&mutex_);
  const std::string range = request.Header("range");
  requests_.push_back(request.method + " " + request.target + (range.empty() ? "" : " " + range));
  if (!request.Header("authorization").empty()) {
    authorizations_.push_back(request.Header("authorization"));
  }
  FakeResponse response = Answer(request);
  for (ActiveFault& active : faults_) {
    if (active.times > 0 && request.target.find(active.part) != std::string::npos) {
      --active.times;
      active.fault(request, response);
      break;
    }
  }
  return response;
}

FakeResponse FakeRegistry::Answer(const FakeRequest& request) {
  if (request.target.starts_with("/token")) {
    return Token(request);
  }
  const std::string wanted = tokens_ ? kToken : basic_;
  if (!wanted.empty() && request.Header("authorization") != wanted) {
    const std::string challenge = tokens_ ? "Bearer realm=\"http://" + server_.host() +
                                                "/token\",service=\"fake\"," +
                                                "scope=\"repository:x:pull\""
                                          : "Basic realm=\"fake\"";
    return {.status = 401, .headers = {{"WWW-Authenticate", challenge}}};
  }
  return Content(request);
}

FakeResponse FakeRegistry::Token(const FakeRequest& request) {
  if (request.Header("authorization") == basic_ ||
      request.body.find("refresh_token=refresh-me") != std::string::npos) {
    return {.body = R"({"token": "good-token", "expires_in": 300})"};
  }
  return {.status = 401, .body = R"({"details": "incorrect username or password"})"};
}

FakeResponse FakeRegistry::Content(const FakeRequest& request) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  const auto after = [&path](const std::string& part) {
    const size_t at = path.find(part);
    return at == std::string::npos ? std::string() : path.substr(at + part.size());
  };
  const std::string reference = after("/manifests/");
  if (!reference.empty()) {
    const std::string prefix = "/v2/";
    const size_t at = path.find("/manifests/");
    const auto it =
        manifests_.find(path.substr(prefix.size(), at - prefix.size()) + "/" + reference);
    if (it != manifests_.end()) {
      return {.headers = {{"Content-Type", it->second.media_type},
                          {"Docker-Content-Digest", Digest::Sha256Of(it->second.bytes).text()}},
              .body = it->second.bytes};
    }
    return {.status = 404,
            .body = R"({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})"};
  }
  const auto blob = blobs_.find(after("/blobs/"));
  if (blob == blobs_.end()) {
    return {.status = 404, .body = R"({"errors": [{"code": "BLOB_UNKNOWN"}]})"};
  }
  const std::string range = request.Header("range");
  if (range.empty() || !ranges_) {
    return {.body = blob->second};
  }
  const size_t dash = range.find('-');  // "bytes=5-" or "bytes=5-9"
  const size_t start = ParseUint(range.substr(6, dash - 6)).value_or(0);
  const size_t size = blob->second.size();
  if (start >= size) {
    return {.status = 416};
  }
  const size_t last = std::min(ParseUint(range.substr(dash + 1)).value_or(size - 1), size - 1);
  return {.status = 206,
          .headers = {{"Content-Range", "bytes " + std::to_string(start) + "-" +
                                            std::to_string(last) + "/" + std::to_string(size)}},
          .body = blob->second.substr(start, last - start + 1)};
}

}  // namespace davit::image
