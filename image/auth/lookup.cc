// SPDX-License-Identifier: Apache-2.0
#include "image/auth/lookup.h"

#include <array>

#include "base/status.h"
#include "image/auth/helper.h"
#include "image/auth/namespaced_auth.h"
#include "image/token.h"

namespace davit::image {
namespace {

constexpr const char* kAuthFilesHelper = "containers-auth.json";  // stands for the auth files

std::string HostOf(const std::string& name) {
  return name.substr(0, name.find('/'));
}

// Docker's own registry goes by an address of old in the stores of helpers.
std::string HelperAddress(const std::string& host) {
  return host == "docker.io" ? "https://index.docker.io/v1/" : host;
}

bool IsFor(const Credentials& credentials, const Reference& reference) {
  const std::string& address = credentials.server_address;
  return address.empty() || HostOf(NormalAuthKey(address)) == reference.domain;
}

}  // namespace

absl::StatusOr<CredentialLookup> CredentialLookup::Create(const PullRequest& request,
                                                          const Reference& reference,
                                                          const RegistriesConf& conf,
                                                          const config::Image& config) {
  if (!IsHeaderSafe(request.credentials.registry_token)) {
    return InvalidArgument("credentials: the registry token has characters no token has");
  }
  CredentialLookup lookup;
  if (IsFor(request.credentials, reference)) {
    lookup.own_ = request.credentials;
  }
  ASSIGN_OR_RETURN(lookup.namespaced_,
                   TakeNamespacedAuth(config.namespaced_auth_dir, request.pod_namespace,
                                      reference.repository()));
  ASSIGN_OR_RETURN(lookup.node_, ReadAuthFile(config.auth_file));
  for (const std::string& helper : conf.credential_helpers.value_or(std::vector<std::string>())) {
    if (helper != kAuthFilesHelper) {
      lookup.helpers_.push_back(helper);
    }
  }
  return lookup;
}

absl::StatusOr<Credentials> CredentialLookup::For(Context& ctx, const Endpoint& endpoint) {
  if (!endpoint.mirror && !own_.empty()) {
    return own_;
  }
  const std::string& name = endpoint.auth_name;
  const std::array<const AuthFile*, 2> files = {namespaced_ ? &*namespaced_ : nullptr, &node_};
  for (const AuthFile* const file : files) {
    if (file == nullptr) {
      continue;
    }
    if (Credentials found = file->Find(name); !found.empty()) {
      return found;
    }
    if (const std::string helper = file->HelperFor(name); !helper.empty()) {
      ASSIGN_OR_RETURN(Credentials found, Ask(ctx, helper, name));
      if (!found.empty()) {
        return found;
      }
    }
  }
  for (const std::string& helper : helpers_) {
    ASSIGN_OR_RETURN(Credentials found, Ask(ctx, helper, name));
    if (!found.empty()) {
      return found;
    }
  }
  return Credentials();
}

absl::StatusOr<Credentials> CredentialLookup::Ask(Context& ctx, const std::string& helper,
                                                  const std::string& auth_name) {
  const std::string host = HostOf(auth_name);
  const std::string key = helper + " " + host;
  if (const auto known = asked_.find(key); known != asked_.end()) {
    return known->second;
  }
  ASSIGN_OR_RETURN(Credentials found, AskHelper(ctx, helper, HelperAddress(host)));
  asked_[key] = found;
  return found;
}

}  // namespace davit::image
