// SPDX-License-Identifier: Apache-2.0
#include "image/registries/endpoints.h"

#include <algorithm>
#include <string_view>

#include "base/status.h"
#include "base/text.h"
#include "image/loopback.h"
#include "image/registries/certs.h"
#include "image/registries/hosts_toml.h"
#include "image/url.h"

namespace davit::image {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";
constexpr std::string_view kDocker = "docker.io";
constexpr std::string_view kDockerHost = "registry-1.docker.io";  // serves the images of docker.io

// The name that prefixes are of: with the digest, else the tag.
std::string FullName(const Reference& reference) {
  return reference.canonical();
}

const config::Mirror* MirrorFor(const std::string& name, const config::Image& config) {
  const config::Mirror* best = nullptr;
  for (const config::Mirror& mirror : config.mirrors) {
    if (MatchPrefix(name, mirror.prefix) > 0 &&
        (best == nullptr || mirror.prefix.size() > best->prefix.size())) {
      best = &mirror;
    }
  }
  return best;
}

// "host[:port]" and what follows the slash of "host[:port]/path".
struct Place {
  std::string host;
  std::string path;
};

Place SplitPlace(const std::string& place) {
  const size_t slash = std::min(place.find('/'), place.size());
  return {.host = place.substr(0, slash),
          .path = slash == place.size() ? "" : place.substr(slash + 1)};
}

class Builder {
 public:
  Builder(const Reference& reference, const RegistriesConf& conf, const config::Image& config)
      : reference_(reference), conf_(conf), config_(config), name_(FullName(reference)) {}

  absl::StatusOr<std::vector<Endpoint>> Build() {
    const RegistryEntry* const entry = conf_.Find(name_);
    if (entry != nullptr && entry->blocked) {
      return PermissionDenied("registry {} is blocked by {}", entry->prefix, entry->origin);
    }
    Place own = {.host = reference_.domain, .path = reference_.path};
    if (entry != nullptr && !entry->location.empty()) {
      ASSIGN_OR_RETURN(own, Rewrite(*entry, entry->location));
    }
    ASSIGN_OR_RETURN(const auto hosts, FindHostsToml(config_.hosts_dirs, own.host));
    if (const config::Mirror* const mirror = MirrorFor(name_, config_); mirror != nullptr) {
      RETURN_IF_ERROR(AddConfigured(*mirror));
    } else if (entry != nullptr) {
      RETURN_IF_ERROR(AddMirrors(*entry));
    } else if (hosts) {
      for (const HostsEntry& host : hosts->mirrors) {
        AddHost(host, own, true);
      }
    }
    RETURN_IF_ERROR(AddOwn(own, entry, hosts));
    return std::move(endpoints_);
  }

 private:
  // The name with the matched prefix replaced by `location`.
  [[nodiscard]] absl::StatusOr<Place> Rewrite(const RegistryEntry& entry,
                                              const std::string& location) const {
    const size_t matched =
        std::min(MatchPrefix(name_, entry.prefix), reference_.repository().size());
    auto place = SplitPlace(location + reference_.repository().substr(matched));
    // The grammar of references knows what a host and a path may be.
    if (!IsDomain(place.host) || !Reference::Parse("x.invalid/" + place.path).ok()) {
      return FailedPrecondition("{}: location '{}' makes no repository of {}", entry.origin,
                                location, reference_.repository());
    }
    return place;
  }

  absl::Status AddConfigured(const config::Mirror& mirror) {
    for (const std::string& text : mirror.endpoints) {
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
      const Place place = SplitPlace(std::string(rest) + "/" + reference_.path);
      if (!IsDomain(place.host) || !Reference::Parse("x.invalid/" + place.path).ok()) {
        return FailedPrecondition("mirror endpoint '{}' (image.mirrors) is not host[:port][/path]",
                                  Printable(text, 200));
      }
      ASSIGN_OR_RETURN(Endpoint endpoint, Make(place, IsInsecureHost(place.host)));
      if (!scheme.empty()) {
        endpoint.base = std::string(scheme) + place.host;
        endpoint.may_be_plain = false;
      }
      endpoint.mirror = true;
      endpoints_.push_back(std::move(endpoint));
    }
    return absl::OkStatus();
  }

  absl::Status AddMirrors(const RegistryEntry& entry) {
    using Use = RegistryMirror::Use;
    const bool by_digest = !reference_.digest.empty();
    for (const RegistryMirror& mirror : entry.mirrors) {
      if (mirror.use == (by_digest ? Use::kTagOnly : Use::kDigestOnly)) {
        continue;
      }
      ASSIGN_OR_RETURN(const Place place, Rewrite(entry, mirror.location));
      ASSIGN_OR_RETURN(Endpoint endpoint,
                       Make(place, mirror.insecure || IsInsecureHost(place.host)));
      endpoint.mirror = true;
      endpoints_.push_back(std::move(endpoint));
    }
    return absl::OkStatus();
  }

  void AddHost(const HostsEntry& host, const Place& own, bool mirror) {
    if (!host.can_pull || (!host.can_resolve && reference_.digest.empty())) {
      return;
    }
    Endpoint endpoint;
    endpoint.base = host.scheme + "://" + host.host + host.path;
    endpoint.host = host.host;
    endpoint.repository = own.path;
    endpoint.api = host.override_path ? "" : "/v2";
    endpoint.mirror = mirror;
    endpoint.auth_name = (mirror ? host.host : own.host) + "/" + own.path;
    endpoint.query = mirror ? "ns=" + PercentEncode(own.host) : "";
    endpoint.headers = host.headers;
    endpoint.tls = host.tls;
    endpoints_.push_back(std::move(endpoint));
  }

  absl::Status AddOwn(const Place& own, const RegistryEntry* entry,
                      const std::optional<HostsToml>& hosts) {
    if (hosts && hosts->server) {
      AddHost(*hosts->server, own, false);
      if (!endpoints_.empty()) {
        return absl::OkStatus();
      }
      return FailedPrecondition("hosts.toml of {} leaves nothing to pull from", own.host);
    }
    ASSIGN_OR_RETURN(Endpoint endpoint,
                     Make(own, (entry != nullptr && entry->insecure) || IsInsecureHost(own.host)));
    endpoints_.push_back(std::move(endpoint));
    return absl::OkStatus();
  }

  [[nodiscard]] bool IsInsecureHost(const std::string& host) const {
    return IsInsecureRegistry(host, conf_, config_);
  }

  [[nodiscard]] absl::StatusOr<Endpoint> Make(const Place& place, bool insecure) const {
    Endpoint endpoint;
    endpoint.host = place.host == kDocker ? std::string(kDockerHost) : place.host;
    endpoint.repository = place.path;
    endpoint.auth_name = place.host + "/" + place.path;
    ASSIGN_OR_RETURN(endpoint.tls, FindCerts(config_.certs_dirs, place.host));
    const bool plain = IsLoopback(place.host) && !endpoint.tls && !insecure;
    endpoint.base = std::string(plain ? kHttp : kHttps) + endpoint.host;
    if (insecure) {
      Tls tls = endpoint.tls ? *endpoint.tls : Tls();
      tls.skip_verify = true;
      endpoint.tls = std::make_shared<const Tls>(std::move(tls));
      endpoint.may_be_plain = true;
    }
    return endpoint;
  }

  const Reference& reference_;
  const RegistriesConf& conf_;
  const config::Image& config_;
  const std::string name_;
  std::vector<Endpoint> endpoints_;
};

}  // namespace

bool IsInsecureRegistry(const std::string& host, const RegistriesConf& conf,
                        const config::Image& config) {
  const bool listed =
      std::any_of(config.insecure_registries.begin(), config.insecure_registries.end(),
                  [&host](const auto& entry) {
                    return Lower(host) == Lower(entry) || BareHost(host) == Lower(entry);
                  });
  if (listed) {
    return true;
  }
  const RegistryEntry* const entry = conf.Find(host);
  return entry != nullptr && entry->insecure;
}

bool PlainHttpAllowed(const std::string& host, const RegistriesConf& conf,
                      const config::Image& config) {
  return IsLoopback(host) || IsInsecureRegistry(host, conf, config);
}

absl::StatusOr<std::vector<Endpoint>> EndpointsFor(const Reference& reference,
                                                   const RegistriesConf& conf,
                                                   const config::Image& config) {
  return Builder(reference, conf, config).Build();
}

absl::Status CheckMirrors(const config::Image& config) {
  ASSIGN_OR_RETURN(const Reference probe, Reference::Parse("x.invalid/x"));
  for (const config::Mirror& mirror : config.mirrors) {
    config::Image one;
    one.certs_dirs.clear();
    one.hosts_dirs.clear();
    one.mirrors = {{.prefix = probe.repository(), .endpoints = mirror.endpoints}};
    RETURN_IF_ERROR(EndpointsFor(probe, {}, one).status());
  }
  return absl::OkStatus();
}

}  // namespace davit::image
