// SPDX-License-Identifier: Apache-2.0
#include "server/locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server {
namespace {

absl::StatusOr<sockaddr_un> SocketAddress(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return InvalidArgument(
        "socket path {} is longer than {} bytes; choose a shorter one with --socket", path,
        sizeof(address.sun_path) - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

absl::StatusOr<UniqueFd> LockDirectory(const std::string& directory) {
  const std::string path = JoinPath(directory, "lock");
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDWR | O_CREAT | O_NOFOLLOW));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return ErrnoStatus(errno, "lock " + path);
    }
    const auto holder = ReadFile(path, 64);
    return FailedPrecondition(
        "another davit (pid {}) uses {}; stop it, or give this one its own --root and --run",
        holder.ok() ? Trim(*holder) : "unknown", directory);
  }
  if (::ftruncate(fd.get(), 0) != 0) {
    return ErrnoStatus(errno, "truncate " + path);
  }
  RETURN_IF_ERROR(WriteFd(fd.get(), std::to_string(::getpid()) + "\n", path));
  return fd;
}

absl::Status ClaimSocketPath(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "stat " + path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return FailedPrecondition("{} exists and is not a socket; remove it or choose another --socket",
                              path);
  }
  ASSIGN_OR_RETURN(const sockaddr_un address, SocketAddress(path));
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe.valid()) {
    return ErrnoStatus(errno, "make a socket");
  }
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return FailedPrecondition("a server answers on {} already; stop it or choose another --socket",
                              path);
  }
  return RemoveFile(path);
}

}  // namespace davit::server
