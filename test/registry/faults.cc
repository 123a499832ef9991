// SPDX-License-Identifier: Apache-2.0
#include "test/registry/faults.h"

#include <fmt/format.h>

#include "base/text.h"
#include "image/ranges.h"
#include "image/test_util.h"

namespace davit::test {
namespace {

using image::FakeImage;
using image::FakeRegistry;
using image::FakeRequest;
using image::FakeResponse;
using Code = absl::StatusCode;
using Answer = std::function<void(const FakeRequest&, FakeResponse&)>;
using Apply = std::function<void(FakeRegistry&, const FakeImage&)>;

constexpr int kAlways = 1 << 30;
constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";

Apply OnManifests(Answer answer, int times = kAlways) {
  return [=](FakeRegistry& registry, const FakeImage&) {
    registry.Inject("/manifests/", times, answer);
  };
}

Apply OnLayer(Answer answer, int times = kAlways) {
  return [=](FakeRegistry& registry, const FakeImage& image) {
    registry.Inject("/blobs/" + image.layer(0).text(), times, answer);
  };
}

Apply OnAll(Answer answer, int times = kAlways) {
  return [=](FakeRegistry& registry, const FakeImage&) { registry.Inject("/v2/", times, answer); };
}

Answer Status(int status, std::vector<std::pair<std::string, std::string>> headers = {},
              std::string body = "") {
  return [=](const FakeRequest&, FakeResponse& response) {
    response = {.status = status, .headers = headers, .body = body};
  };
}

// Instead of the manifest, whose digest nobody knows when it is asked for by tag.
Apply Manifest(std::string type, std::string body) {
  return [=](FakeRegistry& registry, const FakeImage&) {
    registry.AddManifest("app", "1", type, body);
  };
}

void NestIndexes(FakeRegistry& registry, const FakeImage& /*image*/) {
  std::string inner = "{\"manifests\": []}";
  for (int i = 0; i < 20; ++i) {
    const std::string digest = Digest::Sha256Of(inner).text();
    registry.AddManifest("app", digest, kIndexType, inner);
    inner = fmt::format(R"({{"manifests": [{{"mediaType": "{}", "digest": "{}", "size": 1}}]}})",
                        kIndexType, digest);
  }
  registry.AddManifest("app", "1", kIndexType, inner);
}

void AskForTokensForever(FakeRegistry& registry, const FakeImage& /*image*/) {
  const std::string realm = "http://" + registry.host() + "/anything";
  registry.Inject("/v2/", kAlways,
                  Status(401, {{"WWW-Authenticate", "Bearer realm=\"" + realm + "\""}}));
  registry.Inject("/anything", kAlways, Status(200, {}, R"({"token": "worthless"})"));
}

void LayerOfAnotherType(FakeRegistry& registry, const FakeImage& image) {
  std::string manifest = image.manifest;
  const std::string type = "application/vnd.oci.image.layer.v1.tar+gzip";
  manifest.replace(manifest.find(type), type.size(), "application/x-rar");
  registry.AddManifest("app", "1", kManifestType, manifest);
}

std::vector<RegistryFault> StallsAndCuts() {
  const auto stall = [](size_t at) {
    return [at](const FakeRequest&, FakeResponse& response) { response.stall_after = at; };
  };
  const auto cut = [](size_t at) {
    return [at](const FakeRequest&, FakeResponse& response) { response.cut_after = at; };
  };
  return {
      {"stall-manifest", "no byte of the manifest comes", Code::kDeadlineExceeded, "no byte",
       OnManifests(stall(0))},
      {"stall-blob", "the layer stops after 5000 bytes, each time", Code::kDeadlineExceeded,
       "no byte", OnLayer(stall(5000))},
      {"stall-blob-once", "the layer stops once", Code::kOk, "", OnLayer(stall(100'000), 1)},
      {"drip", "the layer comes at 100 bytes a second", Code::kDeadlineExceeded, "sent",
       OnLayer([](const FakeRequest&, FakeResponse& response) { response.drip = 1; })},
      {"cut-blob", "the connection breaks after 5000 bytes, each time", Code::kUnavailable, "",
       OnLayer(cut(5000))},
      {"cut-blob-often", "it breaks after 200000 bytes, but goes on", Code::kOk, "",
       OnLayer(cut(200'000), 30)},
      {"cut-manifest", "the connection breaks within the manifest", Code::kUnavailable, "",
       OnManifests(cut(10))},
  };
}

std::vector<RegistryFault> Lies() {
  return {
      {"length-too-long", "the Content-Length of the layer is more than comes", Code::kOk, "",
       OnLayer([](const FakeRequest&, FakeResponse& response) { response.length_error = 1000; })},
      {"length-too-short", "the layer's Content-Length is a tenth of it", Code::kDataLoss,
       "announces", OnLayer([](const FakeRequest&, FakeResponse& response) {
         response.length_error = -static_cast<int64_t>(response.body.size() * 9 / 10);
       })},
      {"no-length", "the layer ends early, with nothing to tell it by", Code::kDataLoss,
       "ends after", OnLayer([](const FakeRequest&, FakeResponse& response) {
         response = {.body = response.body.substr(0, 1000), .claim_length = false};
       })},
      {"wrong-digest", "one bit of the layer is another", Code::kDataLoss, "digest",
       OnLayer([](const FakeRequest&, FakeResponse& response) {
         response.body[response.body.size() / 2] ^= 1;
       })},
      {"wrong-range", "another range than the one asked for", Code::kUnknown, "another range",
       OnLayer([](const FakeRequest&, FakeResponse& response) {
         response.status = 206;
         response.headers = {{"Content-Range", "bytes 3-9/10"}};
       })},
      {"endless-blob", "the layer never ends", Code::kDataLoss, "more than",
       OnLayer([](const FakeRequest&, FakeResponse& response) {
         response = {.body = image::Noise(100'000, 4), .endless = true};
       })},
      {"endless-manifest", "the manifest never ends (chunked)", Code::kResourceExhausted,
       "manifest is over", OnManifests([](const FakeRequest&, FakeResponse& response) {
         response = {.body = std::string(65536, ' '), .endless = true};
       })},
      {"endless-error", "an error message that never ends", Code::kUnavailable, "500",
       OnAll([](const FakeRequest&, FakeResponse& response) {
         response = {.status = 500, .body = std::string(65536, ' '), .endless = true};
       })},
      {"other-manifest", "a manifest that does not have the digest that its header says",
       Code::kDataLoss, "digest",
       OnManifests([](const FakeRequest&, FakeResponse& response) { response.body += " "; })},
  };
}

std::vector<RegistryFault> Answers() {
  const auto round = [](const FakeRequest& request, FakeResponse& response) {
    response = {.status = 307, .headers = {{"Location", request.target}}};
  };
  return {
      {"redirect-loop", "the layer leads to itself", Code::kUnknown, "redirects more than",
       OnLayer(round)},
      {"auth-loop", "each token that it gives is refused", Code::kUnauthenticated, "401",
       AskForTokensForever},
      {"rate-limit", "429 with Retry-After: 1, twice", Code::kOk, "",
       OnAll(Status(429, {{"Retry-After", "1"}}), 2)},
      {"rate-limit-long", "429 with Retry-After: 7200", Code::kUnavailable, "7200 s",
       OnAll(Status(429, {{"Retry-After", "7200"}}))},
      {"burst-of-503", "503 three times", Code::kOk, "", OnAll(Status(503), 3)},
      {"always-502", "502 each time", Code::kUnavailable, "502", OnAll(Status(502))},
      {"forbidden", "403", Code::kPermissionDenied, "403", OnAll(Status(403))},
      {"no-layer", "404 for the layer", Code::kNotFound, "404", OnLayer(Status(404))},
  };
}

std::vector<RegistryFault> Documents() {
  return {
      {"garbage-manifest", "a manifest that is no JSON", Code::kInvalidArgument, "manifest",
       Manifest(kManifestType, "\x01\xff}{")},
      {"huge-manifest", "a manifest of 10 MB", Code::kResourceExhausted, "manifest is over",
       Manifest(kManifestType, "{\"layers\": [" + std::string(10'000'000, ' ') + "]}")},
      {"deep-json", "a manifest of 100000 nested lists", Code::kInvalidArgument, "nest",
       Manifest(kManifestType, std::string(100'000, '['))},
      {"nested-indexes", "an index of an index of an index …", Code::kInvalidArgument, "nested",
       NestIndexes},
      {"wrong-manifest-type", "a page instead of a manifest", Code::kFailedPrecondition,
       "text/html", Manifest("text/html", "{}")},
      {"wrong-layer-type", "a layer that is no tar", Code::kFailedPrecondition, "application/x-rar",
       LayerOfAnotherType},
      {"no-layers", "a manifest without layers", Code::kInvalidArgument, "",
       Manifest(kManifestType, "{\"layers\": []}")},
  };
}

}  // namespace

const std::vector<RegistryFault>& RegistryFaults() {
  static const auto* const faults = [] {
    auto* all = new std::vector<RegistryFault>;
    for (const auto& some : {StallsAndCuts(), Lies(), Answers(), Documents()}) {
      all->insert(all->end(), some.begin(), some.end());
    }
    return all;
  }();
  return *faults;
}

FakeImage FaultImage() {
  return image::MakeImage({image::Tar({{"large", image::Noise(6 * image::kRangeBytes, 1)}}),
                           image::Tar({{"small", image::Noise(50'000, 2)}, {"text", "hello"}}),
                           image::Tar({{"last", "layer"}})});
}

}  // namespace davit::test
