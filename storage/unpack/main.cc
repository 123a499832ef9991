// SPDX-License-Identifier: Apache-2.0
//
// `davit-unpack`: applies the tar of one layer and ends. The daemon starts one for each layer
// (storage/unpacker.h), so that foreign bytes are parsed where nothing else is.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include "base/fd.h"
#include "base/status.h"
#include "storage/tar_applier.h"
#include "storage/unpack/confine.h"
#include "storage/unpack/protocol.h"
#include "storage/unpack/ring_source.h"

namespace davit::storage::unpack {
namespace {

absl::StatusOr<Begin> ReceiveBegin() {
  Begin begin;
  if (recv(kControlFd, &begin, sizeof begin, 0) != sizeof begin) {
    return InvalidArgument("davit-unpack is started by davit, not by hand");
  }
  return begin;
}

absl::StatusOr<const uint8_t*> MapRing() {
  void* ring = mmap(nullptr, kRingBytes, PROT_READ, MAP_SHARED, kRingFd, 0);
  if (ring == MAP_FAILED) {
    return ErrnoStatus(errno, "map the ring");
  }
  close(kRingFd);
  return static_cast<const uint8_t*>(ring);
}

// trusted.* attributes need CAP_SYS_ADMIN, which the daemon has and this program has not.
absl::Status AskForOpaque(int dir_fd, const std::string& /*path*/) {
  Up message{.kind = UpKind::kOpaque, .bytes = 0};
  iovec part{.iov_base = &message, .iov_len = sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof dir_fd)] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof dir_fd);
  memcpy(CMSG_DATA(rights), &dir_fd, sizeof dir_fd);
  if (sendmsg(kControlFd, &header, MSG_NOSIGNAL) < 0) {
    return errno == EPIPE ? Cancelled("the layer was abandoned")
                          : ErrnoStatus(errno, "hand over a directory to be made opaque");
  }
  return absl::OkStatus();
}

absl::StatusOr<ApplyResult> Apply() {
  ASSIGN_OR_RETURN(const Begin begin, ReceiveBegin());
  ASSIGN_OR_RETURN(const uint8_t* const ring, MapRing());
  ASSIGN_OR_RETURN(const UniqueFd root, Confine(kDirectoryFd));
  close(kDirectoryFd);  // on the host's mount
  RingSource source(ring);
  return ApplyTar(source, root.get(),
                  {.max_bytes = begin.max_bytes,
                   .max_files = begin.max_files,
                   .allow_devices = begin.allow_devices != 0},
                  &AskForOpaque);
}

void Report(const absl::StatusOr<ApplyResult>& result) {
  Done done;
  std::string message;
  if (result.ok()) {
    done.bytes = result->bytes;
    done.files = result->files;
    done.flags = result->flags;
  } else {
    done.code = static_cast<uint32_t>(result.status().code());
    message = Message(result.status()).substr(0, kMaxMessage);
  }
  std::string packet(reinterpret_cast<const char*>(&done), sizeof done);
  packet += message;
  // The daemon sees an end without a word if this fails.
  (void)send(kControlFd, packet.data(), packet.size(), MSG_NOSIGNAL);
}

}  // namespace
}  // namespace davit::storage::unpack

int main() {
  using namespace davit::storage::unpack;
  try {
    Report(Apply());
  } catch (const std::bad_alloc&) {
    Report(davit::ResourceExhausted("layer needs too much memory to be applied"));
  }
}
