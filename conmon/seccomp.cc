// SPDX-License-Identifier: Apache-2.0
#include "conmon/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "conmon/control.h"
#include "conmon/text.h"

namespace davit::conmon {
namespace {

constexpr uint32_t kMaxAnswers = 1000;  // in a second
constexpr int64_t kSecondMs = 1000;
constexpr int64_t kTellMs = 250;
// Descriptors in one message: runtimes send one.
constexpr size_t kMaxReceived = 8;

// Of <linux/seccomp.h>, which this C library does not have.
struct Notification {
  uint64_t id;
  uint32_t pid;
  uint32_t flags;
  int32_t number;
  uint32_t arch;
  uint64_t instruction;
  uint64_t args[6];
};
struct Response {
  uint64_t id;
  int64_t value;
  int32_t error;
  uint32_t flags;
};
constexpr int kReceive = static_cast<int>(_IOWR('!', 0, Notification));
constexpr int kSend = static_cast<int>(_IOWR('!', 1, Response));

// A later kernel may write more than the structure of today.
union NotificationRoom {
  Notification value;
  char bytes[512];
};

bool IsFilter(int fd) {
  constexpr char kName[] = "anon_inode:seccomp notify";
  FixedText<64> link;
  link << "/proc/self/fd/" << static_cast<uint64_t>(fd);
  char target[64];
  const ssize_t size = readlink(link.c_str(), target, sizeof(target));
  return size > 0 && Equal({target, static_cast<size_t>(size)}, kName);
}

uint64_t NowNs() {
  const timespec now = WallClock();
  return static_cast<uint64_t>(now.tv_sec) * 1000000000U + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

// Tags: the listener, then the senders, then the filters.
int Seccomp::Open(int epoll, uint64_t first_tag) {
  epoll_ = epoll;
  first_tag_ = first_tag;
  if (const int error = Map()) {
    return error;
  }
  void* memory =
      mmap(nullptr, sizeof(State), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return errno;
  }
  state_ = static_cast<State*>(memory);
  for (int& filter : state_->filters) {
    filter = -1;
  }
  return Listen();
}

int Seccomp::Map() {
  file_.Reset(open(kSeccompFile, O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct stat st = {};
  if (!file_.valid() || fstat(file_.get(), &st) != 0) {
    return errno;
  }
  mapped_ = static_cast<size_t>(st.st_size);
  if (mapped_ < sizeof(SeccompHeader)) {
    return EINVAL;
  }
  void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (memory == MAP_FAILED) {
    return errno;
  }
  header_ = static_cast<SeccompHeader*>(memory);
  const bool fits = header_->version == kSeccompVersion && header_->calls <= kMaxSeccompCalls &&
                    mapped_ >= sizeof(SeccompHeader) + size_t{header_->calls} * sizeof(SeccompCall);
  return fits ? 0 : EINVAL;
}

int Seccomp::Listen() {
  Fd fresh(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, kSeccompSocket, sizeof(kSeccompSocket));
  unlink(kSeccompSocket);
  if (!fresh.valid() ||
      bind(fresh.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fresh.get(), 64) != 0 || !Watch(fresh.get(), first_tag_, EPOLL_CTL_ADD, EPOLLIN)) {
    return errno;
  }
  listener_ = static_cast<Fd&&>(fresh);
  return 0;
}

bool Seccomp::Watch(int fd, uint64_t tag, int operation, uint32_t events) const {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = tag;
  return epoll_ctl(epoll_, operation, fd, &event) == 0;
}

void Seccomp::Handle(uint64_t tag) {
  if (state_ == nullptr) {
    return;
  }
  const uint64_t index = tag - first_tag_;
  if (index == 0) {
    Accept();
  } else if (index <= kMaxSenders) {
    Receive(index - 1);
  } else if (index <= kMaxSenders + kMaxFilters) {
    OnFilter(index - 1 - kMaxSenders);
  }
}

void Seccomp::Accept() {
  Fd sender = AcceptClient(listener_.get());
  size_t free_places = 0;
  for (size_t i = 0; i < kMaxSenders; ++i) {
    if (senders_[i].valid()) {
      continue;
    }
    if (sender.valid() && Watch(sender.get(), first_tag_ + 1 + i, EPOLL_CTL_ADD, EPOLLIN)) {
      senders_[i] = static_cast<Fd&&>(sender);
    } else {
      ++free_places;
    }
  }
  if (free_places == 0) {  // the others wait in the backlog
    Watch(listener_.get(), first_tag_, EPOLL_CTL_MOD, 0);
  }
}

// What it says of the container is known; the descriptors count.
void Seccomp::Receive(size_t index) {
  Fd& sender = senders_[index];
  if (!sender.valid()) {
    return;
  }
  char text[4096];
  iovec part = {text, sizeof(text)};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxReceived * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(sender.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); size > 0 && header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
      Add(Fd(fd));
    }
  }
  if (size <= 0) {
    sender.Reset();
    Watch(listener_.get(), first_tag_, EPOLL_CTL_MOD, EPOLLIN);
  }
}

// One that finds no place is closed: its calls fail with ENOSYS.
void Seccomp::Add(Fd filter) {
  if (!filter.valid() || !IsFilter(filter.get())) {
    return;
  }
  for (size_t i = 0; i < kMaxFilters; ++i) {
    if (state_->filters[i] < 0) {
      if (Watch(filter.get(), first_tag_ + 1 + kMaxSenders + i, EPOLL_CTL_ADD,
                state_->resting ? 0U : uint32_t{EPOLLIN})) {
        state_->filters[i] = filter.Release();
      }
      return;
    }
  }
}

void Seccomp::Drop(size_t index) {
  close(state_->filters[index]);
  state_->filters[index] = -1;
}

void Seccomp::OnFilter(size_t index) {
  const int fd = state_->filters[index];
  pollfd ready = {fd, POLLIN, 0};
  if (fd < 0 || poll(&ready, 1, 0) < 0) {
    return;
  }
  if ((ready.revents & POLLIN) != 0) {
    if (!state_->resting) {
      Answer(fd);
    }
  } else if ((ready.revents & (POLLHUP | POLLERR)) != 0) {
    Drop(index);  // nobody is left whom it filters
  }
}

// There is one to be received: the caller has looked. If its process ends meanwhile the kernel says
// ENOENT, it does not wait.
void Seccomp::Answer(int fd) {
  NotificationRoom room;
  memset(&room, 0, sizeof(room));  // or the kernel refuses it
  if (ioctl(fd, kReceive, &room) != 0) {
    return;
  }
  const auto number = static_cast<uint32_t>(room.value.number);
  Response response = {};
  response.id = room.value.id;
  response.error = -static_cast<int32_t>(Count(room.value.arch, number));
  ioctl(fd, kSend, &response);  // fails if the process has ended: nobody to tell
  const int64_t now = MonotonicMs();
  if (now - state_->window_ms >= kSecondMs) {
    state_->window_ms = now;
    state_->answers = 0;
  }
  if (++state_->answers >= kMaxAnswers) {
    Rest(true);
  }
}

// The error that the call gets.
uint32_t Seccomp::Count(uint32_t arch, uint32_t number) {
  state_->last_ns = NowNs();
  state_->owes = true;
  auto* calls = reinterpret_cast<SeccompCall*>(header_ + 1);
  for (uint32_t i = 0; i < header_->calls; ++i) {
    if (calls[i].number == number && calls[i].arch == arch) {
      ++calls[i].count;
      return calls[i].error;
    }
  }
  ++header_->others;
  return header_->other_error;
}

void Seccomp::Rest(bool resting) {
  state_->resting = resting;
  for (size_t i = 0; i < kMaxFilters; ++i) {
    if (state_->filters[i] >= 0) {
      Watch(state_->filters[i], first_tag_ + 1 + kMaxSenders + i, EPOLL_CTL_MOD,
            resting ? 0U : uint32_t{EPOLLIN});
    }
  }
}

int Seccomp::Timeout() const {
  if (state_ == nullptr || (!state_->owes && !state_->resting)) {
    return -1;
  }
  const int64_t now = MonotonicMs();
  int64_t left = kSecondMs;
  if (state_->owes) {
    left = state_->told_ms + kTellMs - now;
  }
  if (state_->resting && state_->window_ms + kSecondMs - now < left) {
    left = state_->window_ms + kSecondMs - now;
  }
  return left > 0 ? static_cast<int>(left) : 0;
}

void Seccomp::Tick() {
  if (state_ == nullptr) {
    return;
  }
  if (state_->owes && MonotonicMs() - state_->told_ms >= kTellMs) {
    Tell();
  }
  if (state_->resting && MonotonicMs() - state_->window_ms >= kSecondMs) {
    Rest(false);
  }
}

// A write that fails leaves the counts in the file: the next one tells of them.
void Seccomp::Tell() {
  state_->told_ms = MonotonicMs();
  state_->owes =
      pwrite(file_.get(), &state_->last_ns, sizeof(state_->last_ns),
             offsetof(SeccompHeader, last_ns)) != static_cast<ssize_t>(sizeof(state_->last_ns));
}

void Seccomp::Close() {
  if (state_ == nullptr) {
    return;
  }
  if (state_->owes) {
    Tell();
  }
  unlink(kSeccompSocket);
  listener_.Reset();
}

}  // namespace davit::conmon
