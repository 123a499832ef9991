// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/registries/endpoints.h"
#include "image/registries/registries_conf.h"
#include "image/registries/short_name.h"

// Whatever is accepted can be merged with itself and asked about any image.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace davit::image;  // NOLINT(google-build-using-namespace)
  auto conf = ParseRegistriesConf({reinterpret_cast<const char*>(data), size}, "fuzz.conf");
  if (!conf.ok()) {
    return 0;
  }
  davit::config::Image config;
  config.certs_dirs.clear();
  config.hosts_dirs.clear();
  const RegistriesConf once = *conf;
  MergeRegistriesConf(*conf, once);
  if (conf->registries != once.registries || conf->aliases != once.aliases) {
    std::abort();
  }
  for (const char* name : {"busybox", "a.example/b/c:1", "[::1]:5000/x", "x.a.example:5/b"}) {
    const auto references = CandidatesOf(name, *conf, config);
    if (!references.ok()) {
      std::abort();
    }
    for (const Reference& reference : *references) {
      const auto endpoints = EndpointsFor(reference, *conf, config);
      if (endpoints.ok() && endpoints->empty()) {
        std::abort();
      }
    }
  }
  return 0;
}
