// SPDX-License-Identifier: Apache-2.0
//
// The images that tests, benchmarks and the quickstart use, made from Debian's static busybox:
//
//   busybox          every applet as a symlink, /etc/passwd and /etc/group
//   web              its web server serves /www/index.html on port 8080
//   user             USER 1000:1000, working directory /home/davit
//   multi            three layers with hard links, whiteouts and an opaque directory
//   big              one more layer of 64 MiB that does not compress
//   zstd             busybox whose layer is compressed with zstd
//   missing-command  an entry point that does not exist
//   other-arch       an image index for s390x only
//   volumes          declares volumes, among them such as would leave the root
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "test/images/oci_layout.h"

namespace davit::test {

inline constexpr char kWebPage[] = "<h1>a page from the pod</h1>\n";
inline constexpr int kWebPort = 8080;

[[nodiscard]] const std::vector<std::string>& FixtureImageNames();

// InvalidArgument names the known images.
absl::StatusOr<ImageSpec> MakeFixtureImage(const std::string& name);

}  // namespace davit::test
