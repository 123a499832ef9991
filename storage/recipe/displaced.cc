// SPDX-License-Identifier: Apache-2.0
#include "storage/recipe/displaced.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "storage/recipe/content_file.h"
#include "storage/recipe/crc32.h"
#include "storage/recipe/recipe_reader.h"

namespace davit::storage {
namespace {

namespace fs = std::filesystem;

using Key = std::pair<uint64_t, uint32_t>;  // size, CRC-32

absl::StatusOr<uint32_t> CrcOf(int fd) {
  std::vector<uint8_t> buffer(size_t{256} << 10U);
  uint32_t crc = 0;
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0) {
      return ErrnoStatus(errno, "read a layer's file");
    }
    if (count == 0) {
      return crc;
    }
    crc = Crc32(crc, std::span<const uint8_t>(buffer).first(static_cast<size_t>(count)));
  }
}

// davit-unpack made the directory, and is gone. Whatever it left there, no symlink is followed.
absl::StatusOr<std::map<Key, std::string>> FilesOf(const std::string& trash) {
  RETURN_IF_ERROR(Open(trash, O_PATH | O_DIRECTORY | O_NOFOLLOW).status());
  std::map<Key, std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(trash, error), end; !error && it != end;
       it.increment(error)) {
    struct stat st = {};
    const std::string path = it->path();
    if (lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
      continue;
    }
    ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY | O_NOFOLLOW));
    ASSIGN_OR_RETURN(const uint32_t crc, CrcOf(fd.get()));
    files.emplace(Key(static_cast<uint64_t>(st.st_size), crc), path);
  }
  if (error) {
    return Internal("read {}: {}", trash, error.message());
  }
  return files;
}

// Whether the file of that name has the content.
absl::StatusOr<bool> IsThere(int diff, const RecipeReader::Content& content) {
  const absl::StatusOr<ContentFile> file = OpenContentFile(diff, content.path);
  if (!file.ok() || file->size != content.size) {
    return false;
  }
  ASSIGN_OR_RETURN(const uint32_t crc, CrcOf(file->fd.get()));
  return crc == content.crc;
}

}  // namespace

absl::StatusOr<bool> KeepDisplaced(const std::string& directory) {
  const std::string kept = JoinPath(directory, "kept");
  ASSIGN_OR_RETURN(const auto files, FilesOf(JoinPath(directory, "trash")));
  ASSIGN_OR_RETURN(const UniqueFd diff,
                   Open(JoinPath(directory, "diff"), O_PATH | O_DIRECTORY | O_NOFOLLOW));
  ASSIGN_OR_RETURN(const auto reader, RecipeReader::Open(directory, nullptr));
  bool whole = true;
  bool kept_made = false;
  const auto keep = [&](const RecipeReader::Content& content) -> absl::Status {
    ASSIGN_OR_RETURN(const bool there, IsThere(diff.get(), content));
    if (there || !whole) {
      return absl::OkStatus();
    }
    const auto file = files.find({content.size, content.crc});
    if (file == files.end()) {
      whole = false;
      return absl::OkStatus();
    }
    if (!kept_made && mkdir(kept.c_str(), 0700) != 0) {
      return ErrnoStatus(errno, "make " + kept);
    }
    kept_made = true;
    // A link, as the same content may be wanted twice.
    const std::string name = JoinPath(kept, std::to_string(content.number));
    if (link(file->second.c_str(), name.c_str()) != 0) {
      return ErrnoStatus(errno, "link " + name);
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(reader->ForEachContent(keep));
  return whole;
}

}  // namespace davit::storage
