// SPDX-License-Identifier: Apache-2.0
//
// Where one repository is fetched from: mirrors in order, then its own registry. In three steps:
//
// 1. The [[registry]] of registries.conf with the longest prefix of the name: it may block it, and
//    says under which location the registry is asked.
// 2. Mirrors: those of image.mirrors (the longest prefix of the name), else those of that
//    [[registry]], else those of hosts.toml for the registry's host. The first of these that says
//    anything counts alone.
// 3. TLS, by the host of each: what its hosts.toml says, else certs.d.
//
// Loopback hosts without certificates of their own are spoken to in plain HTTP, other hosts in
// HTTPS; insecure ones in HTTPS with any certificate, or in plain HTTP if they speak no TLS.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "config/config.h"
#include "image/reference.h"
#include "image/registries/registries_conf.h"
#include "image/tls.h"

namespace davit::image {

struct Endpoint {
  std::string base;        // "https://registry.k8s.io", without a slash at its end
  std::string host;        // with the port: "127.0.0.1:5000"
  std::string repository;  // as this endpoint has it
  bool mirror = false;
  bool may_be_plain = false;  // `base` is https, and http serves as well
  std::string auth_name;      // host/repository by which credentials are looked up
  std::string api = "/v2";    // before the repository; "" with override_path
  std::string query;          // "ns=docker.io": tells a mirror of many registries which one
  std::vector<std::string> headers = {};  // "Name: value", for this host only
  TlsPtr tls = nullptr;
};

// Never empty. PermissionDenied: the registry is blocked. FailedPrecondition names a mirror or a
// file that is broken.
absl::StatusOr<std::vector<Endpoint>> EndpointsFor(const Reference& reference,
                                                   const RegistriesConf& conf,
                                                   const config::Image& config);

// Whether `host` (with or without port) may be spoken to without TLS: loopback, or insecure by
// image.insecure_registries or registries.conf.
[[nodiscard]] bool PlainHttpAllowed(const std::string& host, const RegistriesConf& conf,
                                    const config::Image& config);
// Without the loopback.
[[nodiscard]] bool IsInsecureRegistry(const std::string& host, const RegistriesConf& conf,
                                      const config::Image& config);

// InvalidArgument names an endpoint of image.mirrors that is none.
absl::Status CheckMirrors(const config::Image& config);

}  // namespace davit::image
