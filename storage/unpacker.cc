// SPDX-License-Identifier: Apache-2.0
#include "storage/unpacker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/layer_flags.h"
#include "storage/layer_tree.h"
#include "storage/unpack/protocol.h"

namespace davit::storage {
namespace {

using unpack::Done;
using unpack::kRingBytes;
using unpack::Up;
using unpack::UpKind;

constexpr std::chrono::seconds kExitTimeout{10};
constexpr uint32_t kKnownFlags = kHasWhiteouts | kOpaqueRoot | kHasRootEntry | kHasImplied;

// The only descriptor that a packet of the process may carry.
UniqueFd AttachedFd(msghdr& header) {
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights == nullptr || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS ||
      rights->cmsg_len != CMSG_LEN(sizeof(int))) {
    return UniqueFd();
  }
  int fd = -1;
  memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  return UniqueFd(fd);
}

absl::Status MakeOpaque(const UniqueFd& fd) {
  struct stat st = {};
  if (!fd.valid() || fstat(fd.get(), &st) != 0 || !S_ISDIR(st.st_mode)) {
    return Internal("davit-unpack asked to make opaque what is no directory");
  }
  return LayerTree::SetOpaque(fd.get(), "of the layer");
}

}  // namespace

// Shared with the process, which can neither write to it nor change its size: a process that has
// been taken over cannot make the daemon stumble over the end of it.
struct Unpacker::Ring {
  UniqueFd fd;
  uint8_t* bytes = nullptr;

  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    if (bytes != nullptr) {
      munmap(bytes, kRingBytes);
    }
  }

  static absl::StatusOr<std::unique_ptr<Ring>> Make() {
    auto ring = std::make_unique<Ring>();
    ring->fd.Reset(memfd_create("davit-layer", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!ring->fd.valid() || ftruncate(ring->fd.get(), kRingBytes) != 0) {
      return ErrnoStatus(errno, "make shared memory for a layer");
    }
    void* mapped = mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd.get(), 0);
    if (mapped == MAP_FAILED) {
      return ErrnoStatus(errno, "map shared memory for a layer");
    }
    ring->bytes = static_cast<uint8_t*>(mapped);
    if (fcntl(ring->fd.get(), F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
      return ErrnoStatus(errno, "seal shared memory for a layer");
    }
    return ring;
  }
};

Unpacker::Unpacker(std::unique_ptr<Ring> ring, UniqueFd control, Process process)
    : ring_(std::move(ring)),
      control_(std::move(control)),
      process_(std::move(process)),
      result_(absl::UnknownError("not applied yet")) {}

absl::StatusOr<std::unique_ptr<Unpacker>> Unpacker::Start(const std::string& program,
                                                          const std::string& directory,
                                                          const ApplyLimits& limits) {
  ASSIGN_OR_RETURN(std::unique_ptr<Ring> ring, Ring::Make());
  ASSIGN_OR_RETURN(const UniqueFd dir, Open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  int fds[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return ErrnoStatus(errno, "make a socket for davit-unpack");
  }
  UniqueFd ours(fds[0]);
  const UniqueFd theirs(fds[1]);
  ASSIGN_OR_RETURN(Process process, Spawn({.argv = {program},
                                           .fds = {{theirs.get(), unpack::kControlFd},
                                                   {ring->fd.get(), unpack::kRingFd},
                                                   {dir.get(), unpack::kDirectoryFd}}}));
  ring->fd.Reset();
  std::unique_ptr<Unpacker> unpacker(
      new Unpacker(std::move(ring), std::move(ours), std::move(process)));
  const unpack::Begin begin{.max_bytes = limits.max_bytes,
                            .max_files = limits.max_files,
                            .allow_devices = limits.allow_devices ? 1U : 0U,
                            .unused = 0};
  RETURN_IF_ERROR(unpacker->Send(&begin, sizeof begin));
  return unpacker;
}

Unpacker::~Unpacker() {
  if (running_) {
    log::IfError(process_.Kill(SIGKILL), "end davit-unpack");
    Context ctx(kExitTimeout);
    log::IfError(process_.Wait(ctx).status(), "wait for davit-unpack");
  }
}

absl::Status Unpacker::Send(const void* packet, size_t size) {
  if (send(control_.get(), packet, size, MSG_NOSIGNAL) >= 0) {
    return absl::OkStatus();
  }
  if (errno != EPIPE && errno != ECONNRESET) {
    return ErrnoStatus(errno, "write to davit-unpack");
  }
  // It has ended; why, its last packet says.
  while (!done_) {
    RETURN_IF_ERROR(Receive(/*wait=*/true).status());
  }
  return result_.status();
}

absl::Status Unpacker::SendFilled() {
  const unpack::Down message{.kind = unpack::DownKind::kFilled,
                             .bytes = static_cast<uint32_t>(unannounced_)};
  unannounced_ = 0;
  return Send(&message, sizeof message);
}

absl::Status Unpacker::Push(std::span<const uint8_t> bytes) {
  while (!bytes.empty() && !done_) {
    if (used_ == kRingBytes) {
      if (unannounced_ > 0) {
        RETURN_IF_ERROR(SendFilled());
      }
      RETURN_IF_ERROR(Receive(/*wait=*/true).status());
      continue;
    }
    const size_t count = std::min({bytes.size(), kRingBytes - used_, kRingBytes - tail_,
                                   unpack::kNotifyBytes - unannounced_});
    memcpy(ring_->bytes + tail_, bytes.data(), count);
    tail_ = (tail_ + count) % kRingBytes;
    used_ += count;
    unannounced_ += count;
    bytes = bytes.subspan(count);
    if (unannounced_ == unpack::kNotifyBytes) {
      RETURN_IF_ERROR(SendFilled());
      ASSIGN_OR_RETURN(bool more, Receive(/*wait=*/false));
      while (more && !done_) {
        ASSIGN_OR_RETURN(more, Receive(/*wait=*/false));
      }
    }
  }
  return done_ ? result_.status() : absl::OkStatus();
}

absl::StatusOr<bool> Unpacker::Receive(bool wait) {
  alignas(Done) uint8_t packet[sizeof(Done) + unpack::kMaxMessage];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{.iov_base = packet, .iov_len = sizeof packet};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size = 0;
  do {
    size = recvmsg(control_.get(), &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    // ECONNRESET says once that the process left packets unread; its own are still to come.
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0 && errno == EAGAIN) {
    return false;
  }
  if (size <= 0) {
    RETURN_IF_ERROR(Ended());
    return true;
  }
  const UniqueFd attached = AttachedFd(header);
  RETURN_IF_ERROR(Handle({packet, static_cast<size_t>(size)}, attached));
  return true;
}

absl::Status Unpacker::Handle(std::span<const uint8_t> packet, const UniqueFd& attached) {
  Up up;
  if (packet.size() >= sizeof up) {
    memcpy(&up, packet.data(), sizeof up);
    if (up.kind == UpKind::kEmptied && up.bytes <= used_ - unannounced_) {
      used_ -= up.bytes;
      return absl::OkStatus();
    }
    if (up.kind == UpKind::kOpaque) {
      return MakeOpaque(attached);
    }
  }
  Done done;
  if (packet.size() < sizeof done || up.kind != UpKind::kDone) {
    return Internal("davit-unpack broke its protocol");
  }
  memcpy(&done, packet.data(), sizeof done);
  done_ = true;
  if (done.code == 0) {
    result_ =
        ApplyResult{.bytes = done.bytes, .files = done.files, .flags = done.flags & kKnownFlags};
  } else {
    const std::span<const uint8_t> text = packet.subspan(sizeof done);
    result_ = absl::Status(
        static_cast<absl::StatusCode>(done.code),
        Printable({reinterpret_cast<const char*>(text.data()), text.size()}, unpack::kMaxMessage));
  }
  return absl::OkStatus();
}

// The socket is closed, and no outcome was said.
absl::Status Unpacker::Ended() {
  Context ctx(kExitTimeout);
  ASSIGN_OR_RETURN(const ExitStatus exit, process_.Wait(ctx));
  running_ = false;
  done_ = true;
  result_ = Internal("davit-unpack ended before the layer was applied ({} {})",
                     exit.signal != 0 ? "signal" : "exit code",
                     exit.signal != 0 ? exit.signal : exit.code);
  return absl::OkStatus();
}

absl::StatusOr<ApplyResult> Unpacker::Finish() {
  if (!done_) {
    if (unannounced_ > 0) {
      RETURN_IF_ERROR(SendFilled());
    }
    const unpack::Down end{.kind = unpack::DownKind::kEnd, .bytes = 0};
    RETURN_IF_ERROR(Send(&end, sizeof end));
  }
  while (!done_) {
    RETURN_IF_ERROR(Receive(/*wait=*/true).status());
  }
  return result_;
}

}  // namespace davit::storage
