// SPDX-License-Identifier: Apache-2.0
#include "storage/recipe/content_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/rooted_path.h"
#include "base/status.h"

namespace davit::storage {

absl::StatusOr<ContentFile> OpenContentFile(int root_fd, const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd found, OpenInRoot(root_fd, path, O_PATH | O_NOFOLLOW));
  struct stat st = {};
  if (fstat(found.get(), &st) != 0) {
    return ErrnoStatus(errno, "stat");
  }
  if (!S_ISREG(st.st_mode)) {
    return FailedPrecondition("is no regular file");
  }
  ASSIGN_OR_RETURN(UniqueFd fd, Open("/proc/self/fd/" + std::to_string(found.get()), O_RDONLY));
  return ContentFile{.fd = std::move(fd), .size = static_cast<uint64_t>(st.st_size)};
}

}  // namespace davit::storage
