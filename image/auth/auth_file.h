// SPDX-License-Identifier: Apache-2.0
//
// The JSON in which Docker (config.json) and Podman (containers-auth.json(5)) keep credentials:
// `auths` by host or host/path, `credHelpers` and `credsStore` that name a program to ask.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "image/puller.h"

namespace davit::image {

struct AuthFile {
  std::map<std::string, Credentials> auths;    // by normal key: "docker.io", "host/path"
  std::map<std::string, std::string> helpers;  // program's name by normal key
  std::string store;                           // program's name; "": none

  // The entry whose key is the longest that `name` (host/repository) begins with; empty if none is.
  [[nodiscard]] Credentials Find(std::string_view name) const;
  // The helper to ask for `name`: that of the longest key, else the store, else "".
  [[nodiscard]] std::string HelperFor(std::string_view name) const;
};

// FailedPrecondition names the file and what is wrong, and nothing of its content.
absl::StatusOr<AuthFile> ParseAuthFile(std::string_view text, const std::string& file);

// "" or missing: empty. The tools remove the file when the last login goes.
absl::StatusOr<AuthFile> ReadAuthFile(const std::string& file);

// "https://index.docker.io/v1/" -> "docker.io", "host/path/" -> "host/path".
[[nodiscard]] std::string NormalAuthKey(std::string_view key);

}  // namespace davit::image
