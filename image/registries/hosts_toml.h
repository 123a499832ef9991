// SPDX-License-Identifier: Apache-2.0
//
// containerd's layout for registries: DIR/HOST/hosts.toml says where the images of HOST come from,
// DIR/_default/hosts.toml where those of all other hosts. HOST is "example.com", "example.com:5000"
// or "example.com_5000_". Read at each pull. Source: containerd docs/hosts.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "image/tls.h"

namespace davit::image {

struct HostsEntry {
  std::string scheme;  // "http" or "https"
  std::string host;    // host[:port]
  std::string path;    // "", or "/path" before the repository; with override_path without "/v2"
  bool override_path = false;
  bool can_pull = true;              // blobs, and manifests by digest
  bool can_resolve = true;           // tags
  std::vector<std::string> headers;  // "Name: value"
  std::vector<std::string> ca_files;
  std::string cert_file;
  std::string key_file;
  bool skip_verify = false;
  TlsPtr tls;  // of these files, once they are read
};

struct HostsToml {
  std::vector<HostsEntry> mirrors;   // in the order of the file
  std::optional<HostsEntry> server;  // instead of https://HOST
  std::vector<std::string> warnings;
};

// InvalidArgument: "FILE:LINE: what is wrong". Reads no other file; relative names of certificates
// are of `directory`.
absl::StatusOr<HostsToml> ParseHostsToml(std::string_view text, const std::string& file,
                                         const std::string& directory);

// Of the first of `directories` that has a file for `host`, or for all. A directory for `host`
// without a file is read as certs.d is. Nothing if there is neither.
absl::StatusOr<std::optional<HostsToml>> FindHostsToml(const std::vector<std::string>& directories,
                                                       const std::string& host);

}  // namespace davit::image
