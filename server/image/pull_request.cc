// SPDX-License-Identifier: Apache-2.0
#include "server/image/pull_request.h"

namespace davit::server {
namespace {

image::Credentials ToCredentials(const runtime::v1::AuthConfig& auth) {
  return {.username = auth.username(),
          .password = auth.password(),
          .auth = auth.auth(),
          .identity_token = auth.identity_token(),
          .registry_token = auth.registry_token(),
          .server_address = auth.server_address()};
}

}  // namespace

image::PullRequest ToPullRequest(const runtime::v1::ImageSpec& image,
                                 const runtime::v1::AuthConfig& auth,
                                 const runtime::v1::PodSandboxConfig& pod) {
  return {.name = image.image(),
          .credentials = ToCredentials(auth),
          .pod_namespace = pod.metadata().namespace_()};
}

}  // namespace davit::server
