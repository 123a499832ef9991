// SPDX-License-Identifier: Apache-2.0
//
// Which credentials one pull has for which registry, in this order:
//
// 1. the request's own, for the image's own registry only (and only if their server_address is it);
// 2. the auth file of the pod's namespace for this repository;
// 3. the auth file of the node (image.auth_file): `auths`, then its helpers;
// 4. the credential-helpers of registries.conf.
//
// For one pull; not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "image/auth/auth_file.h"
#include "image/puller.h"
#include "image/reference.h"
#include "image/registries/endpoints.h"

namespace davit::image {

class CredentialLookup {
 public:
  // Takes the namespace's file, and reads the node's.
  static absl::StatusOr<CredentialLookup> Create(const PullRequest& request,
                                                 const Reference& reference,
                                                 const RegistriesConf& conf,
                                                 const config::Image& config);

  // Empty: anonymous.
  absl::StatusOr<Credentials> For(Context& ctx, const Endpoint& endpoint);

 private:
  absl::StatusOr<Credentials> Ask(Context& ctx, const std::string& helper,
                                  const std::string& auth_name);

  Credentials own_;  // empty if they are for another registry
  std::optional<AuthFile> namespaced_;
  AuthFile node_;
  std::vector<std::string> helpers_;
  std::map<std::string, Credentials> asked_;  // by helper and host
};

}  // namespace davit::image
