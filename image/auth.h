// SPDX-License-Identifier: Apache-2.0
//
// Credentials: what the request carries, and the auth file of Docker and Podman. They never appear
// in an error or a log.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "image/puller.h"
#include "image/reference.h"

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

// The entry of `file` for `domain`/`path`: the longest key that is a prefix of it; empty if there
// is none or no file. FailedPrecondition names a file that cannot be read.
absl::StatusOr<Credentials> FromAuthFile(const std::string& file, const std::string& domain,
                                         const std::string& path);

}  // namespace davit::image
