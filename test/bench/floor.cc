// SPDX-License-Identifier: Apache-2.0
//
// davit-bench-floor BLOB [BLOB ...]: the least that unpacking layers can take on this machine, on
// one thread, without network and file system: SHA-256 of the blob, decompression, SHA-256 of the
// diff. With --write FILE also the writing of as many bytes in sequence. Prints `inflate_ms
// write_ms bytes`.

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/digest.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "image/decompress.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kPortion = size_t{256} << 10U;

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

absl::StatusOr<uint64_t> Unpack(const std::string& path) {
  ASSIGN_OR_RETURN(const davit::UniqueFd blob, davit::Open(path, O_RDONLY));
  uint64_t bytes = 0;
  davit::Hasher blob_hash;
  davit::Hasher diff_hash;
  const auto decompressor = davit::image::Decompressor::Create([&](std::span<const uint8_t> some) {
    diff_hash.Update(some);
    bytes += some.size();
    return absl::OkStatus();
  });
  std::vector<uint8_t> buffer(kPortion);
  while (true) {
    const ssize_t count = read(blob.get(), buffer.data(), buffer.size());
    if (count <= 0) {
      break;
    }
    const auto some = std::span(buffer).first(static_cast<size_t>(count));
    blob_hash.Update(some);
    RETURN_IF_ERROR(decompressor->Write(some));
  }
  RETURN_IF_ERROR(decompressor->Finish());
  return bytes;
}

absl::Status WriteBytes(const std::string& path, uint64_t bytes) {
  ASSIGN_OR_RETURN(const davit::UniqueFd file, davit::Open(path, O_WRONLY | O_CREAT | O_TRUNC));
  const std::vector<uint8_t> buffer(kPortion, 'x');
  for (uint64_t done = 0; done < bytes; done += kPortion) {
    if (write(file.get(), buffer.data(), std::min<uint64_t>(kPortion, bytes - done)) < 0) {
      return davit::ErrnoStatus(errno, "write " + path);
    }
  }
  return absl::OkStatus();
}

absl::Status Measure(const std::vector<std::string>& blobs, const std::string& out) {
  uint64_t bytes = 0;
  const auto begin = Clock::now();
  for (const std::string& blob : blobs) {
    ASSIGN_OR_RETURN(const uint64_t more, Unpack(blob));
    bytes += more;
  }
  const double inflate = MillisecondsSince(begin);
  double write = 0;
  if (!out.empty()) {
    const auto write_begin = Clock::now();
    RETURN_IF_ERROR(WriteBytes(out, bytes));
    write = MillisecondsSince(write_begin);
  }
  fmt::print("{:.0f} {:.0f} {}\n", inflate, write, bytes);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The least that unpacking layers can take on this machine");
  std::vector<std::string> blobs;
  std::string out;
  app.add_option("BLOB", blobs, "layers as a registry has them")->required();
  app.add_option("--write", out, "a file to write as many bytes to");
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = Measure(blobs, out); !status.ok()) {
    fmt::print(stderr, "davit-bench-floor: {}\n", davit::Message(status));
    return 1;
  }
  return 0;
}
