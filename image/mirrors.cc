// SPDX-License-Identifier: Apache-2.0
#include "image/mirrors.h"

#include <algorithm>
#include <string_view>

#include "base/status.h"
#include "base/text.h"
#include "image/loopback.h"

namespace davit::image {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

bool HasPrefix(const std::string& repository, const std::string& prefix) {
  return repository == prefix ||
         (repository.starts_with(prefix) && repository[prefix.size()] == '/');
}

const config::Mirror* MirrorFor(const std::string& repository, const config::Image& config) {
  const config::Mirror* best = nullptr;
  for (const config::Mirror& mirror : config.mirrors) {
    if (!mirror.prefix.empty() && HasPrefix(repository, mirror.prefix) &&
        (best == nullptr || mirror.prefix.size() > best->prefix.size())) {
      best = &mirror;
    }
  }
  return best;
}

std::string Base(const std::string& host, const config::Image& config) {
  return std::string(PlainHttpAllowed(host, config) ? kHttp : kHttps) + host;
}

absl::StatusOr<Endpoint> MirrorEndpoint(const std::string& text, const std::string& path,
                                        const config::Image& config) {
  std::string_view rest = text;
  std::string_view scheme;
  for (const std::string_view known : {kHttp, kHttps}) {
    if (rest.starts_with(known)) {
      scheme = known;
      rest.remove_prefix(known.size());
    }
  }
  while (rest.ends_with('/')) {
    rest.remove_suffix(1);
  }
  // The grammar of references knows what a host and a path may be.
  const std::string place = std::string(rest) + "/" + path;
  const size_t slash = place.find('/');
  auto parsed = Reference::Parse("x.invalid" + place.substr(slash));
  auto host = Reference::Parse("x", place.substr(0, slash));
  if (!parsed.ok() || !host.ok()) {
    return FailedPrecondition("mirror endpoint '{}' (image.mirrors) is not host[:port][/path]",
                              Printable(text, 200));
  }
  Endpoint endpoint;
  endpoint.host = place.substr(0, slash);
  endpoint.base =
      scheme.empty() ? Base(endpoint.host, config) : std::string(scheme) + endpoint.host;
  endpoint.repository = parsed->path;
  endpoint.mirror = true;
  return endpoint;
}

}  // namespace

bool IsInsecureRegistry(const std::string& host, const config::Image& config) {
  return std::any_of(config.insecure_registries.begin(), config.insecure_registries.end(),
                     [&host](const std::string& entry) {
                       return Lower(host) == Lower(entry) || BareHost(host) == Lower(entry);
                     });
}

bool PlainHttpAllowed(const std::string& host, const config::Image& config) {
  return IsLoopback(host) || IsInsecureRegistry(host, config);
}

absl::StatusOr<std::vector<Endpoint>> EndpointsFor(const Reference& reference,
                                                   const config::Image& config) {
  std::vector<Endpoint> endpoints;
  if (const config::Mirror* mirror = MirrorFor(reference.repository(), config); mirror != nullptr) {
    for (const std::string& text : mirror->endpoints) {
      ASSIGN_OR_RETURN(Endpoint endpoint, MirrorEndpoint(text, reference.path, config));
      endpoints.push_back(std::move(endpoint));
    }
  }
  // The images of docker.io are served under another name.
  const std::string host =
      reference.domain == "docker.io" ? "registry-1.docker.io" : reference.domain;
  endpoints.push_back({.base = Base(host, config), .host = host, .repository = reference.path});
  return endpoints;
}

}  // namespace davit::image
