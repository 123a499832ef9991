// SPDX-License-Identifier: Apache-2.0
//
// Credentials as they go into a header. They never appear in an error or a log.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "image/puller.h"

namespace davit::image {

struct Login {
  std::string username;
  std::string password;
};

// user name and password, be they given as such or as base64; both empty if there are none.
absl::StatusOr<Login> LoginOf(const Credentials& credentials);

// "Basic …".
[[nodiscard]] std::string BasicHeader(const Login& login);

// A key that tells credentials apart without holding them.
[[nodiscard]] std::string Fingerprint(const Credentials& credentials);

}  // namespace davit::image
