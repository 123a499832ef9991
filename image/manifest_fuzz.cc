// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "image/manifest.h"

// The first byte says which Content-Type comes with the document.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace davit::image;
  constexpr int kMaxLayers = 50;
  if (size == 0) {
    return 0;
  }
  const char* const types[] = {"", "application/vnd.oci.image.index.v1+json",
                               "application/vnd.docker.distribution.manifest.v2+json; a=b",
                               "text/html"};
  const std::string json(reinterpret_cast<const char*>(data) + 1, size - 1);
  static_cast<void>(KindOf(json, types[data[0] % 4]));
  const Platform platform = Platform::Host();
  // Whatever the kind: a reader must not rely on having been asked for it.
  const auto chosen = ChooseFromIndex(json, platform);
  const auto manifest = ParseManifest(json, kMaxLayers);
  if (chosen.ok() && chosen->digest.empty()) {
    abort();
  }
  if (manifest.ok()) {
    for (const Layer& layer : manifest->layers) {
      if (layer.blob.digest.empty() || layer.blob.media_type.empty()) {
        abort();
      }
    }
    if (manifest->layers.empty() || manifest->layers.size() > kMaxLayers) {
      abort();
    }
  }
  return 0;
}
