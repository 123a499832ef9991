// SPDX-License-Identifier: Apache-2.0
//
// Feeds a fuzz target every file of a corpus, and beginnings of each: a regression test without
// libFuzzer. The name of a file is printed before it is fed, so that a crash says which.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kCuts = 64;  // of each file

void Feed(const std::string& bytes) {
  // On the heap with its exact size: a read past the end is seen by a sanitizer.
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void Replay(const std::filesystem::path& file) {
  std::printf("%s\n", file.c_str());
  std::fflush(stdout);
  std::ifstream in(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  Feed(bytes);
  for (size_t i = 0; i < kCuts; ++i) {
    Feed(bytes.substr(0, bytes.size() * i / kCuts));
  }
}

}  // namespace

int main(int argc, char** argv) {
  size_t files = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      Replay(entry.path());
      ++files;
    }
  }
  std::printf("%zu files\n", files);
  return files == 0 ? 1 : 0;  // an empty corpus is a mistake in the build
}
