// SPDX-License-Identifier: Apache-2.0
#include "conmon/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "conmon/null_device.h"
#include "conmon/protocol.h"

namespace davit::conmon {
namespace {

// O_CLOEXEC on both; the container's side loses it by dup2. For all users: programs open
// /dev/stdout anew, and in a user namespace the pipe's owner is nobody. Who may get at it is
// decided by the kernel's rules for /proc/PID/fd.
int MakePipe(Fd* reader, Fd* writer) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return errno;
  }
  reader->Reset(fds[0]);
  writer->Reset(fds[1]);
  return fchmod(fds[0], 0666) == 0 ? 0 : errno;
}

int Duplicate(const Fd& from, Fd* to) {
  to->Reset(fcntl(from.get(), F_DUPFD_CLOEXEC, 0));
  return to->valid() ? 0 : errno;
}

// With the file system root of that namespace, and as its working directory.
bool EnterMounts(const Options& options) {
  return options.mount_ns_fd == UINT64_MAX ||
         setns(static_cast<int>(options.mount_ns_fd), CLONE_NEWNS) == 0;
}

void ExecProgram(const Options& options, char** argv) {
  if (options.runtime_fd == UINT64_MAX) {
    execve(options.runtime, argv, environ);
  } else {
    syscall(SYS_execveat, options.runtime_fd, "", argv, environ, AT_EMPTY_PATH);
  }
}

[[noreturn]] void ExecRuntime(const Options& options, const Stdio& stdio, char** argv) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (options.cpu != UINT64_MAX) {
    // The process inherits it. Where this cpuset has no such CPU the container's may; from then on
    // the process is kept there by others.
    PinToCpu(0, options.cpu);
  }
  if (dup2(stdio.in.get(), 0) >= 0 && dup2(stdio.out.get(), 1) >= 0 &&
      dup2(stdio.err.get(), 2) >= 0 && EnterMounts(options)) {
    CloseFromBut(3, &options.runtime_fd, 1);
    ExecProgram(options, argv);
  }
  FixedText<256> message;
  message << "cannot execute the OCI runtime: errno " << static_cast<uint64_t>(errno) << "\n";
  WriteAll(2, message.text());
  _exit(127);
}

}  // namespace

void KeepGiven(const Options& options) {
  const uint64_t given[] = {options.sync_fd, options.runtime_fd, options.mount_ns_fd};
  for (const uint64_t fd : given) {
    if (fd != UINT64_MAX) {
      fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC);
    }
  }
  CloseFromBut(3, given, sizeof(given) / sizeof(*given));
}

int MakeStdio(const Options& options, Stdio* stdio) {
  int error = MakePipe(&stdio->err_reader, &stdio->err);
  if (error == 0) {
    error = options.stdin_open && !options.tty ? MakePipe(&stdio->in, &stdio->in_writer)
                                               : OpenOwnNull(&stdio->in, &stdio->null_mount);
  }
  if (error == 0) {
    error =
        options.tty ? Duplicate(stdio->in, &stdio->out) : MakePipe(&stdio->out_reader, &stdio->out);
  }
  // Only our ends may be non-blocking: the flag belongs to the open file, which pipe ends do not
  // share.
  const Fd* const ours[] = {&stdio->out_reader, &stdio->err_reader, &stdio->in_writer};
  for (const Fd* fd : ours) {
    if (error == 0 && fd->valid() && !SetNonBlocking(fd->get())) {
      error = errno;
    }
  }
  return error;
}

namespace {

// The runtime's command line, in order of appearance; longer ones than there are do not fit.
struct Words {
  const char* words[24];
  size_t count = 0;
  void Add(const char* word) { words[count++] = word; }
  template <size_t N>
  void AddAll(const char* const (&all)[N]) {
    for (const char* word : all) {
      Add(word);
    }
  }
};

}  // namespace

pid_t SpawnRuntime(const Options& options, const Stdio& stdio, const char* console_path) {
  FixedText<PATH_MAX> log;
  FixedText<PATH_MAX> pid_file;
  FixedText<PATH_MAX> process;
  log << options.run_dir << "/" << kRuntimeLog;
  pid_file << options.run_dir << "/" << kPidFile;
  process << options.run_dir << "/" << kExecProcessFile;
  if (log.truncated() || pid_file.truncated() || process.truncated()) {
    errno = ENAMETOOLONG;
    return -1;
  }
  Words argv;
  const char* const global[] = {options.runtime, "--root",    options.runtime_root,
                                "--log",         log.c_str(), "--log-format",
                                "json"};
  const char* const exec[] = {"exec", "--detach", "--process", process.c_str(), "--pid-file"};
  const char* const run[] = {"run", "--detach", "--bundle", options.bundle, "--pid-file"};
  argv.AddAll(global);
  if (options.systemd_cgroup) {
    argv.Add("--systemd-cgroup");
  }
  argv.AddAll(options.exec ? exec : run);
  argv.Add(pid_file.c_str());
  if (console_path != nullptr) {
    argv.Add("--console-socket");
    argv.Add(console_path);
  }
  argv.Add(options.id);
  argv.Add(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    ExecRuntime(options, stdio, const_cast<char**>(argv.words));
  }
  const uint64_t used[] = {options.runtime_fd, options.mount_ns_fd};
  for (const uint64_t fd : used) {
    if (fd != UINT64_MAX) {
      close(static_cast<int>(fd));
    }
  }
  return pid;
}

void NameConsole(ConsolePath* path) {
  *path << "/proc/" << static_cast<uint64_t>(getpid()) << "/cwd/" << kConsoleSocket;
}

int ListenConsole(Fd* listener) {
  Fd fresh(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, kConsoleSocket, sizeof(kConsoleSocket));
  unlink(kConsoleSocket);
  if (!fresh.valid() ||
      bind(fresh.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fresh.get(), 1) != 0) {
    return errno;
  }
  *listener = static_cast<Fd&&>(fresh);
  return 0;
}

Fd ReceiveConsole(int listener) {
  const Fd peer(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  unlink(kConsoleSocket);
  if (!peer.valid()) {
    return Fd();
  }
  char name[256];  // the runtime names the terminal; of no use here
  iovec part = {name, sizeof(name)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(peer.get(), &message, MSG_CMSG_CLOEXEC) < 0) {
    return Fd();
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return Fd();
  }
  int fd = -1;
  memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return Fd(fd);
}

}  // namespace davit::conmon
