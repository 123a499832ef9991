// SPDX-License-Identifier: Apache-2.0
//
// Reads the entries of one uncompressed tar stream (ustar, pax, GNU, old formats, sparse files).
// libarchive parses; it never touches the file system. Names are the archive's bytes, whatever the
// locale. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "storage/byte_source.h"

namespace davit::storage {

struct TarEntry {
  enum class Type { kFile, kDirectory, kSymlink, kHardLink, kCharDevice, kBlockDevice, kFifo };
  Type type = Type::kFile;
  std::string path;  // as in the archive
  std::string link;  // target of a symlink or hard link
  mode_t mode = 0;   // permission bits with suid, sgid, sticky
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t size = 0;
  dev_t device = 0;
  timespec mtime = {};
  std::vector<std::pair<std::string, std::string>> xattrs;
};

struct TarBlock {
  uint64_t offset = 0;
  std::span<const uint8_t> bytes;  // valid until the next call
};

class TarReader {
 public:
  // The source outlives the reader.
  static absl::StatusOr<std::unique_ptr<TarReader>> Create(ByteSource& source);
  ~TarReader();

  // Nothing at the end marker. DataLoss if the stream ends within an entry, InvalidArgument if it
  // is no tar or holds values out of range; the source's own error.
  absl::StatusOr<std::optional<TarEntry>> Next();
  // The next data of the current entry, in ascending order; holes are left out.
  absl::StatusOr<std::optional<TarBlock>> NextBlock();

 private:
  struct Impl;
  explicit TarReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace davit::storage
