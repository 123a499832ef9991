// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/cleanup/cleanup.h"

#include "base/id.h"
#include "base/status.h"

namespace davit {
namespace {

constexpr size_t kFirstRead = 4096;

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

absl::Status SyncDirOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string dir = slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
  ASSIGN_OR_RETURN(UniqueFd fd, Open(dir, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) {
    return ErrnoStatus(errno, "sync directory " + dir);
  }
  return absl::OkStatus();
}

absl::Status FillAndRename(UniqueFd fd, const std::string& temporary, const std::string& path,
                           std::string_view data, mode_t mode, Durability durability) {
  RETURN_IF_ERROR(WriteFd(fd.get(), data, temporary));
  if (fchmod(fd.get(), mode) != 0) {
    return ErrnoStatus(errno, "set mode of " + temporary);
  }
  if (durability == Durability::kDurable && fsync(fd.get()) != 0) {
    return ErrnoStatus(errno, "sync " + temporary);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, "rename " + temporary + " to " + path);
  }
  return absl::OkStatus();
}

absl::Status MakeOneDir(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) {
    if (chmod(path.c_str(), mode) != 0) {  // the umask may have taken bits away
      return ErrnoStatus(errno, "set mode of directory " + path);
    }
    return absl::OkStatus();
  }
  const int error = errno;
  struct stat st = {};
  // Not only EEXIST: a read-only file system answers EROFS for a directory that is there.
  if (stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode)) {
      return absl::OkStatus();
    }
    return FailedPrecondition("make directory {}: a file that is no directory is in the way", path);
  }
  return ErrnoStatus(error, "make directory " + path);
}

}  // namespace

absl::StatusOr<UniqueFd> Open(const std::string& path, int flags, mode_t mode) {
  return OpenAt(AT_FDCWD, path, flags, mode);
}

absl::StatusOr<UniqueFd> OpenAt(int dir_fd, const std::string& name, int flags, mode_t mode) {
  while (true) {
    const int fd = openat(dir_fd, name.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) {
      return UniqueFd(fd);
    }
    if (errno != EINTR) {
      return ErrnoStatus(errno, "open " + name);
    }
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  return ReadFileAt(AT_FDCWD, path, max_bytes);
}

absl::StatusOr<std::string> ReadFileAt(int dir_fd, const std::string& name, size_t max_bytes) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir_fd, name, O_RDONLY));
  return ReadFd(fd.get(), max_bytes, name);
}

absl::StatusOr<std::string> ReadFd(int fd, size_t max_bytes, const std::string& what) {
  // The size is a hint only: files of /proc say 0.
  struct stat st = {};
  size_t hint = kFirstRead;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
    hint = static_cast<size_t>(st.st_size) + 1;
  }
  std::string data;
  data.resize(std::min(hint, max_bytes + 1));
  size_t used = 0;
  while (true) {
    if (used == data.size()) {
      data.resize(std::min(data.size() * 2, max_bytes + 1));
    }
    const ssize_t got = read(fd, data.data() + used, data.size() - used);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return ErrnoStatus(errno, "read " + what);
    }
    if (got == 0) {
      data.resize(used);
      return data;
    }
    used += static_cast<size_t>(got);
    if (used > max_bytes) {
      return ResourceExhausted("read {}: longer than {} bytes", what, max_bytes);
    }
  }
}

absl::Status WriteFd(int fd, std::string_view data, const std::string& what) {
  while (!data.empty()) {
    const ssize_t put = write(fd, data.data(), data.size());
    if (put < 0) {
      if (errno == EINTR) {
        continue;
      }
      return ErrnoStatus(errno, "write " + what);
    }
    data.remove_prefix(static_cast<size_t>(put));
  }
  return absl::OkStatus();
}

absl::Status WriteExisting(const std::string& path, std::string_view data) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_WRONLY | O_TRUNC));
  // One write(2): the kernel takes each write to a control file as a command of its own.
  ssize_t put = 0;
  do {
    put = write(fd.get(), data.data(), data.size());
  } while (put < 0 && errno == EINTR);
  if (put < 0) {
    return ErrnoStatus(errno, "write " + path);
  }
  if (static_cast<size_t>(put) != data.size()) {
    return Internal("write {}: only {} of {} bytes were taken", path, put, data.size());
  }
  return absl::OkStatus();
}

absl::Status WriteFileAtomic(const std::string& path, std::string_view data, mode_t mode,
                             Durability durability) {
  const std::string temporary = path + ".tmp-" + ShortId(NewId());
  ASSIGN_OR_RETURN(UniqueFd fd, Open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
  absl::Cleanup remove_temporary = [&temporary] { unlink(temporary.c_str()); };
  RETURN_IF_ERROR(FillAndRename(std::move(fd), temporary, path, data, mode, durability));
  std::move(remove_temporary).Cancel();
  return durability == Durability::kDurable ? SyncDirOf(path) : absl::OkStatus();
}

absl::Status MakeDirs(const std::string& path, mode_t mode) {
  if (path.empty()) {
    return InvalidArgument("make directory: the path is empty");
  }
  // The common cases first: it, or its parent, is there.
  struct stat st = {};
  if (stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    return absl::OkStatus();
  }
  if (MakeOneDir(path, mode).ok()) {
    return absl::OkStatus();
  }
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    RETURN_IF_ERROR(MakeOneDir(path.substr(0, end), mode));
  }
  return MakeOneDir(path, mode);
}

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno == EISDIR) {
    if (rmdir(path.c_str()) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
  }
  return ErrnoStatus(errno, "remove " + path);
}

absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, DirCloser> dir(fdopendir(fd.get()));
  if (!dir) {
    return ErrnoStatus(errno, "list directory " + path);
  }
  (void)fd.Release();  // the stream owns it now
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
    errno = 0;
  }
  if (errno != 0) {
    return ErrnoStatus(errno, "list directory " + path);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool PathExists(const std::string& path) {
  struct stat st = {};
  return lstat(path.c_str(), &st) == 0;
}

std::string JoinPath(std::string_view a, std::string_view b) {
  while (!a.empty() && a.back() == '/') {
    a.remove_suffix(1);
  }
  while (!b.empty() && b.front() == '/') {
    b.remove_prefix(1);
  }
  std::string path;
  path.reserve(a.size() + b.size() + 1);
  path += a;
  path += '/';
  path += b;
  return path;
}

}  // namespace davit
