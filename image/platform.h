// SPDX-License-Identifier: Apache-2.0
//
// The platform images are chosen for: this host's, in the names of the OCI image index.
#pragma once

#include <string>

namespace davit::image {

struct Platform {
  std::string os = "linux";
  std::string architecture;
  // The highest variant that runs here: amd64 1..4, arm64 8 or more, arm 5..8; 0 where none exist.
  int level = 0;

  static Platform Host();
  // By what uname(2) calls the machine; `cpu_level` is that of an amd64 processor.
  static Platform Of(const std::string& machine, int cpu_level);
  [[nodiscard]] std::string text() const;  // "linux/amd64"
  // How well an entry fits: 0 not at all, else the more the better.
  [[nodiscard]] int Fit(const std::string& entry_os, const std::string& entry_architecture,
                        const std::string& variant) const;
};

}  // namespace davit::image
