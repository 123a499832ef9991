// SPDX-License-Identifier: Apache-2.0
//
// Test-only: a temporary directory, compressed bytes, and a tar of regular files.
#pragma once

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace davit::image {

// Removed with all that is in it at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string Gzip(const std::string& bytes);
std::string Zstd(const std::string& bytes);
// name -> content, with the two zero records at the end.
std::string Tar(const std::vector<std::pair<std::string, std::string>>& files);
// Bytes that hardly compress, the same for the same seed.
std::string Noise(size_t size, unsigned seed);

}  // namespace davit::image
