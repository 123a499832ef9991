// SPDX-License-Identifier: Apache-2.0
#include "conmon/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

namespace davit::conmon {
namespace {

// A line without its end is logged as a partial one after so long; buffers are given back.
constexpr int64_t kRestMs = 500;
// How long the outputs may stay open, silent or at all, when the container's first process is gone
// (others of a shared PID namespace may hold them).
constexpr int64_t kQuietMs = 1000;
constexpr int64_t kDrainMs = 3000;
constexpr int kExitWriteTries = 60;

// How long an attached client that takes nothing may hold up the container, and its end.
constexpr int64_t kStallMs = 5000;
constexpr int64_t kStallAtEndMs = 2000;

// What an epoll event is about; a client is kTagClient plus its index.
constexpr uint64_t kTagSignal = 0;
constexpr uint64_t kTagControl = 1;
constexpr uint64_t kTagStream = 2;
constexpr uint64_t kTagOom = kTagStream + kOutputs;
constexpr uint64_t kTagClient = 8;
static_assert(kTagOom < kTagClient);
constexpr uint64_t kTagAttach = kTagClient + kMaxClients;
constexpr uint64_t kTagSeccomp = kTagAttach + Attach::kTags;

#ifndef TIOCGPTPEER
constexpr int TIOCGPTPEER = 0x5441;
#endif

uint64_t NowNs() {
  const timespec now = WallClock();
  return static_cast<uint64_t>(now.tv_sec) * 1000000000U + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

const char* Monitor::Start() {
  if (options_.sync_fd != UINT64_MAX) {
    sync_.Reset(static_cast<int>(options_.sync_fd));
  }
  KeepGiven(options_);
  if (const char* failure = EnterRunDir()) {
    return failure;
  }
  if (const char* failure = OpenLog()) {
    return failure;
  }
  if (const char* failure = MakeLoop()) {
    return failure;
  }
  return StartRuntime();
}

const char* Monitor::OpenLog() {
  log_.Limit(options_.log_rate, options_.max_log_size);
  errno = log_.file.Open(options_.log_path);
  // A full disk must not keep a container from starting; anything else is a mistake to be told.
  if (errno != 0 && errno != ENOSPC && errno != EDQUOT) {
    return "open the container's log file";
  }
  errno = log_.journal.Open(options_.journal_fields, options_.journal_socket);
  return errno != 0 ? "make a socket for the journal" : nullptr;
}

const char* Monitor::EnterRunDir() {
  umask(022);  // the log is 0640; the run directory itself is for root alone
  if (chdir(options_.run_dir) != 0) {
    return "enter the run directory";
  }
  unlink(kExitFile);
  unlink(kPidFile);
  unlink(kRuntimeLog);
  return nullptr;
}

const char* Monitor::MakeLoop() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return "become the container's reaper";
  }
  // All signals are blocked: only the container's end ends the monitor.
  sigset_t all;
  sigset_t child;
  sigfillset(&all);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  signals_.Reset(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!signals_.valid() || !epoll_.valid() || !Watch(signals_.get(), kTagSignal)) {
    return "make the event loop";
  }
  errno = ListenControl(&control_);
  if (errno != 0 || !Watch(control_.get(), kTagControl)) {
    return "listen on the control socket";
  }
  accepting_ = true;
  errno = options_.seccomp ? seccomp_.Open(epoll_.get(), kTagSeccomp) : 0;
  return errno != 0 ? "listen for seccomp notifications" : nullptr;
}

const char* Monitor::StartRuntime() {
  errno = MakeStdio(options_, &stdio_);
  if (errno != 0) {
    return "make the container's pipes";
  }
  ConsolePath console;
  if (options_.tty) {
    errno = ListenConsole(&console_listener_);
    if (errno != 0) {
      return "listen for the container's terminal";
    }
    NameConsole(&console);
  }
  runtime_pid_ = SpawnRuntime(options_, stdio_, options_.tty ? console.c_str() : nullptr);
  if (runtime_pid_ < 0) {
    return "start the OCI runtime";
  }
  stdio_.in.Reset();
  stdio_.out.Reset();
  stdio_.err.Reset();
  return nullptr;
}

bool Monitor::Watch(int fd, uint64_t tag, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = tag;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

int Monitor::Run() {
  epoll_event events[8];
  while (!failed_ && !Drained()) {
    const int count = epoll_wait(epoll_.get(), events, 8, Timeout());
    for (int i = 0; i < count; ++i) {
      Dispatch(events[i].data.u64);
    }
    ResumeStreams();
    RestStreams();
    seccomp_.Tick();
  }
  return failed_ ? 1 : Finish();
}

void Monitor::Dispatch(uint64_t tag) {
  if (tag >= kTagSeccomp) {
    seccomp_.Handle(tag);
  } else if (tag >= kTagAttach) {
    attach_.Handle(tag);
  } else if (tag >= kTagClient) {
    OnClient(tag - kTagClient);
  } else if (tag == kTagOom) {
    OnOomEvent();
  } else if (tag >= kTagStream) {
    ReadStream(tag - kTagStream);
  } else if (tag == kTagControl) {
    OnConnect();
  } else {
    OnChild();
  }
}

void Monitor::ReadStream(size_t index) {
  Stream& stream = streams_[index];
  if (!stream.open() || held_up_[index]) {
    return;
  }
  const Text fresh = stream.Read(log_);
  if (!stream.open()) {
    attach_.EndOutput(index);
    return;
  }
  if (fresh.size > 0) {
    attach_.Send(index, fresh);
  }
  if (attach_.Owes(index)) {
    held_up_[index] = true;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, stream.fd(), nullptr);
  }
}

void Monitor::ResumeStreams() {
  if (!held_up_[0] && !held_up_[1]) {
    return;
  }
  attach_.DropStalled(phase_ == Phase::kExited ? kStallAtEndMs : kStallMs);
  for (size_t i = 0; i < kOutputs; ++i) {
    if (held_up_[i] && !attach_.Owes(i)) {
      held_up_[i] = false;
      Watch(streams_[i].fd(), kTagStream + i);
      ReadStream(i);
    }
  }
}

int Monitor::Timeout() const {
  const int streams = StreamTimeout();
  const int seccomp = seccomp_.Timeout();
  return seccomp < 0 || (streams >= 0 && streams < seccomp) ? streams : seccomp;
}

int Monitor::StreamTimeout() const {
  if (phase_ == Phase::kExited) {
    return 50;
  }
  const bool warm = streams_[0].warm() || streams_[1].warm() || held_up_[0] || held_up_[1];
  return warm ? static_cast<int>(kRestMs) : -1;
}

void Monitor::RestStreams() {
  for (size_t i = 0; i < kOutputs; ++i) {
    Stream& stream = streams_[i];
    if (stream.warm() && !held_up_[i] && MonotonicMs() - stream.last_read_ms() >= kRestMs) {
      stream.Rest(log_);
    }
  }
}

void Monitor::OnChild() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof(info)) > 0) {
  }
  int status = 0;
  if (phase_ == Phase::kStarting) {
    if (waitpid(runtime_pid_, &status, WNOHANG) != runtime_pid_) {
      return;
    }
    OnRuntimeEnd(status);
  }
  if (failed_) {
    return;
  }
  pid_t pid = 0;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == container_pid_ && phase_ == Phase::kRunning) {
      phase_ = Phase::kExited;
      exit_.status = status;
      exit_.finished_ns = NowNs();
      exited_ms_ = MonotonicMs();
      terminal_slave_.Reset();
    }
  }
}

// A file that is gone would be ready for ever.
void Monitor::OnOomEvent() {
  if (!oom_.Note()) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, oom_.fd(), nullptr);
  }
}

void Monitor::OnRuntimeEnd(int status) {
  if (status != 0) {
    char text[kMaxStartMessage];
    const ssize_t size = read(stdio_.err_reader.get(), text, sizeof(text));
    ReportFailure(status, {text, size > 0 ? static_cast<size_t>(size) : 0});
    return;
  }
  uint64_t pid = 0;
  if (!ReadNumberFile(kPidFile, &pid) || pid == 0 || pid > INT32_MAX) {
    ReportFailure(status, "the OCI runtime succeeded but wrote no pid file");
    return;
  }
  container_pid_ = static_cast<pid_t>(pid);
  container_start_time_ = StartTimeOf(container_pid_);
  oom_.Open(options_.oom_file, options_.oom_parent_file);
  if (oom_.fd() >= 0) {
    Watch(oom_.fd(), kTagOom, EPOLLPRI);  // fails for a file that is none of the kernel's
  }
  if (!OpenStreams()) {
    ReportFailure(status, "the container's output cannot be read: no terminal or no memory");
    return;
  }
  unlink(kRuntimeLog);
  phase_ = Phase::kRunning;
  Report(StartOutcome::kRunning, 0, "");
  // Not before the runtime ran: a container without a value of its own would inherit this one.
  WriteFile("/proc/self/oom_score_adj", "-1000");
}

bool Monitor::OpenStreams() {
  Fd first = static_cast<Fd&&>(stdio_.out_reader);
  if (options_.tty) {
    first = ReceiveConsole(console_listener_.get());
    console_listener_.Reset();
    stdio_.err_reader.Reset();
    if (!first.valid() || !SetNonBlocking(first.get())) {
      return false;
    }
    terminal_slave_.Reset(ioctl(first.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  if (streams_[0].Open("stdout", static_cast<Fd&&>(first), options_.max_line) != 0 ||
      !Watch(streams_[0].fd(), kTagStream)) {
    return false;
  }
  if (!OpenInput()) {
    return false;
  }
  if (options_.tty) {
    return true;
  }
  return streams_[1].Open("stderr", static_cast<Fd&&>(stdio_.err_reader), options_.max_line) == 0 &&
         Watch(streams_[1].fd(), kTagStream + 1);
}

// A descriptor of its own for the terminal: it is waited for apart from what comes out.
bool Monitor::OpenInput() {
  attach_.Open(epoll_.get(), kTagAttach, options_.stdin_once && !options_.tty);
  if (!options_.stdin_open) {
    return true;
  }
  Fd input = options_.tty ? Fd(fcntl(streams_[0].fd(), F_DUPFD_CLOEXEC, 0))
                          : static_cast<Fd&&>(stdio_.in_writer);
  const bool valid = input.valid();
  attach_.SetInput(static_cast<Fd&&>(input));
  return valid;
}

void Monitor::Report(StartOutcome outcome, int runtime_status, Text message) {
  StartReport report = {};
  report.version = kProtocolVersion;
  report.outcome = outcome;
  report.container_pid = container_pid_;
  report.runtime_status = runtime_status;
  report.container_start_time = container_start_time_;
  report.message_size = static_cast<uint32_t>(message.size);
  iovec parts[] = {{&report, sizeof(report)}, {const_cast<char*>(message.data), message.size}};
  writev(sync_.get(), parts, 2);  // the daemon may be gone: nobody to tell
  sync_.Reset();
}

void Monitor::ReportFailure(int runtime_status, Text message) {
  failed_ = true;
  unlink(kControlSocket);
  unlink(kConsoleSocket);
  seccomp_.Close();
  Report(StartOutcome::kRuntimeFailed, runtime_status, message);
}

bool Monitor::Drained() const {
  if (phase_ != Phase::kExited) {
    return false;
  }
  if (!streams_[0].open() && !streams_[1].open()) {
    return true;
  }
  if (held_up_[0] || held_up_[1]) {
    return false;
  }
  const int64_t now = MonotonicMs();
  int64_t last = exited_ms_;
  for (const Stream& stream : streams_) {
    last = stream.last_read_ms() > last ? stream.last_read_ms() : last;
  }
  return now - last >= kQuietMs || now - exited_ms_ >= kDrainMs;
}

int Monitor::Finish() {
  for (Stream& stream : streams_) {
    stream.Close(log_);
  }
  seccomp_.Close();
  exit_.oom_kills = oom_.Kills();
  exit_.dropped_lines = log_.dropped_lines();
  exit_.dropped_bytes = log_.dropped_bytes();
  exit_.journal_lost = log_.journal.lost();
  int error = WriteExitFile(exit_);
  for (int tries = 1; error == ENOSPC && tries < kExitWriteTries; ++tries) {
    poll(nullptr, 0, 1000);
    error = WriteExitFile(exit_);
  }
  unlink(kControlSocket);
  return error == 0 ? 0 : 1;
}

void Monitor::OnConnect() {
  Fd client = AcceptClient(control_.get());
  size_t free_slots = 0;
  for (size_t i = 0; i < kMaxClients; ++i) {
    if (clients_[i].valid()) {
      continue;
    }
    if (client.valid() && Watch(client.get(), kTagClient + i)) {
      clients_[i] = static_cast<Fd&&>(client);
    } else {
      ++free_slots;
    }
  }
  if (free_slots == 0) {  // the others wait in the backlog
    accepting_ = epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, control_.get(), nullptr) != 0;
  }
}

void Monitor::OnClient(size_t index) {
  Fd& client = clients_[index];
  if (!client.valid()) {
    return;
  }
  Request request = {};
  Fd fds[kMaxAttachStreams];
  const Received received = ReceiveRequest(client.get(), &request, fds);
  if (received == Received::kNothing ||
      (received == Received::kRequest && SendReply(client.get(), Answer(request, fds)))) {
    return;
  }
  client.Reset();
  if (!accepting_) {
    accepting_ = Watch(control_.get(), kTagControl);
  }
}

Reply Monitor::Answer(const Request& request, Fd* fds) {
  Reply reply = {};
  reply.error = Execute(request, fds);
  reply.version = kProtocolVersion;
  reply.phase = phase_;
  reply.container_pid = container_pid_;
  reply.container_start_time = container_start_time_;
  reply.dropped_lines = log_.dropped_lines();
  reply.dropped_bytes = log_.dropped_bytes();
  return reply;
}

int Monitor::Execute(const Request& request, Fd* fds) {
  if (request.version != kProtocolVersion) {
    return EPROTO;
  }
  switch (request.command) {
    case Command::kState:
      return 0;
    case Command::kReopenLog:
      return log_.file.Reopen();
    case Command::kResize: {
      if (!options_.tty || !streams_[0].open()) {
        return EINVAL;
      }
      winsize size = {};
      size.ws_row = static_cast<uint16_t>(request.rows);
      size.ws_col = static_cast<uint16_t>(request.columns);
      return ioctl(streams_[0].fd(), TIOCSWINSZ, &size) == 0 ? 0 : errno;
    }
    case Command::kAttach:
      return phase_ == Phase::kRunning ? attach_.Add(request.streams, fds) : EAGAIN;
  }
  return ENOSYS;
}

}  // namespace davit::conmon
