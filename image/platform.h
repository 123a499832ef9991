// SPDX-License-Identifier: Apache-2.0
//
// The platform images are chosen for: this host's, in the names of the OCI image index.
#pragma once

#include <string>

namespace davit::image {

struct Platform {
  std::string os = "linux";
  std::string architecture;
  // The highest variant that runs here: amd64 1..4, arm64 8 or more, arm 5..7; 0 where none exist.
  int level = 0;

  static Platform Host();
  [[nodiscard]] std::string text() const;  // "linux/amd64"
  // How well an entry fits: 0 not at all, else the more the better.
  [[nodiscard]] int Fit(const std::string& entry_os, const std::string& entry_architecture,
                        const std::string& variant) const;
};

}  // namespace davit::image
