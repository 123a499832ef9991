// SPDX-License-Identifier: Apache-2.0
//
// Where a repository is fetched from: the endpoints of its mirrors in order, then its own registry.
// The mirror entry with the longest prefix counts ("docker.io/library" before "docker.io"); an
// endpoint's path is put before the repository's path. Loopback hosts and those of
// image.insecure_registries are spoken to in plain HTTP, all others in HTTPS, unless an endpoint
// says "https://" itself.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "config/config.h"
#include "image/reference.h"

namespace davit::image {

struct Endpoint {
  std::string base;        // "https://registry.k8s.io", without a slash at its end
  std::string host;        // with the port: "127.0.0.1:5000"
  std::string repository;  // as this endpoint has it
  bool mirror = false;
};

// FailedPrecondition names a mirror endpoint that is not one.
absl::StatusOr<std::vector<Endpoint>> EndpointsFor(const Reference& reference,
                                                   const config::Image& config);

// "localhost", 127.0.0.0/8 or ::1, or listed in image.insecure_registries. `host` may have a port.
[[nodiscard]] bool PlainHttpAllowed(const std::string& host, const config::Image& config);
[[nodiscard]] bool IsInsecureRegistry(const std::string& host, const config::Image& config);

}  // namespace davit::image
