// SPDX-License-Identifier: Apache-2.0
#include "network/loopback.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "base/namespace.h"
#include "base/status.h"

namespace davit::network {
namespace {

absl::Status SetUpHere() {
  // Any address family serves: the ioctls act on the namespace of the socket.
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "open a socket");
  }
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) {
    return ErrnoStatus(errno, "read the flags of lo");
  }
  request.ifr_flags = static_cast<decltype(request.ifr_flags)>(request.ifr_flags | IFF_UP);
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) {
    return ErrnoStatus(errno, "set lo up");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status BringUpLoopback(const std::string& netns_path) {
  return Annotate(RunInNetNs(netns_path, SetUpHere), "loopback in " + netns_path);
}

}  // namespace davit::network
