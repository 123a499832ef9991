// SPDX-License-Identifier: Apache-2.0
#include "server/image/credentials.h"

namespace davit::server {

image::Credentials ToCredentials(const runtime::v1::AuthConfig& auth) {
  return {.username = auth.username(),
          .password = auth.password(),
          .auth = auth.auth(),
          .identity_token = auth.identity_token(),
          .registry_token = auth.registry_token()};
}

}  // namespace davit::server
