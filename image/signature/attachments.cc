// SPDX-License-Identifier: Apache-2.0
#include "image/signature/attachments.h"

#include "base/json.h"
#include "base/status.h"
#include "image/manifest.h"

namespace davit::image {
namespace {

using nlohmann::json;

constexpr size_t kMaxTotalBytes = size_t{8} << 20U;
constexpr const char* kLayerType = "application/vnd.dev.cosign.simplesigning.v1+json";
constexpr const char* kSignature = "dev.cosignproject.cosign/signature";
constexpr const char* kCertificate = "dev.sigstore.cosign/certificate";
constexpr const char* kChain = "dev.sigstore.cosign/chain";
constexpr const char* kBundle = "dev.sigstore.cosign/bundle";

absl::StatusOr<Signature> FetchOne(Context& ctx, Source& source, const json& layer,
                                   const std::string& tag) {
  Descriptor blob;
  blob.media_type = kLayerType;
  ASSIGN_OR_RETURN(blob.digest, Digest::Parse(JsonString(layer, "digest")));
  const int64_t size = JsonInt(layer, "size", -1);
  if (size < 0 || static_cast<uint64_t>(size) > kMaxSignatureBytes) {
    return InvalidArgument("layer {} has size {}, at most {} are accepted", blob.digest.text(),
                           size, kMaxSignatureBytes);
  }
  blob.size = static_cast<uint64_t>(size);
  const json& annotations = JsonChild(layer, "annotations");
  Signature signature{.kind = Signature::Kind::kSigstore,
                      .origin = tag + " layer " + blob.digest.text(),
                      .signature = JsonString(annotations, kSignature),
                      .certificate = JsonString(annotations, kCertificate),
                      .chain = JsonString(annotations, kChain),
                      .bundle = JsonString(annotations, kBundle)};
  ASSIGN_OR_RETURN(signature.message, source.FetchBlob(ctx, blob));
  return signature;
}

}  // namespace

absl::StatusOr<std::vector<Signature>> FetchAttachments(Context& ctx, Source& source,
                                                        const Digest& manifest) {
  const std::string tag = manifest.algorithm() + "-" + manifest.hex() + ".sig";
  std::vector<Signature> signatures;
  auto document = source.FetchManifest(ctx, tag);
  if (absl::IsNotFound(document.status())) {
    return signatures;
  }
  if (!document.ok()) {
    return Annotate(document.status(), "signatures " + tag);
  }
  ASSIGN_OR_RETURN(const json root, ParseJson(document->json, "manifest of " + tag));
  size_t total = 0;
  for (const json& layer : JsonChild(root, "layers")) {
    if (JsonString(layer, "mediaType") != kLayerType) {
      continue;
    }
    auto signature = FetchOne(ctx, source, layer, tag);
    if (!signature.ok()) {
      return Annotate(signature.status(), "signatures " + tag);
    }
    total += signature->message.size();
    if (signatures.size() >= kMaxSignatures || total > kMaxTotalBytes) {
      return ResourceExhausted("{} holds more than {} signatures or {} bytes of them", tag,
                               kMaxSignatures, kMaxTotalBytes);
    }
    signatures.push_back(*std::move(signature));
  }
  return signatures;
}

}  // namespace davit::image
