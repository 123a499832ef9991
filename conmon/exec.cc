// SPDX-License-Identifier: Apache-2.0
#include "conmon/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "conmon/launch.h"
#include "conmon/null_device.h"
#include "conmon/protocol.h"
#include "conmon/sys.h"

namespace davit::conmon {
namespace {

// One packet; a terminal goes with it. The daemon may be gone: nobody to tell.
void Send(int socket, const void* data, size_t size, Text text, int terminal) {
  iovec parts[] = {{const_cast<void*>(data), size}, {const_cast<char*>(text.data), text.size}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (terminal >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &terminal, sizeof(int));
  }
  sendmsg(socket, &message, MSG_NOSIGNAL);
}

void SendReport(int socket, StartOutcome outcome, int status, pid_t pid, Text text, int terminal) {
  StartReport report = {};
  report.version = kProtocolVersion;
  report.outcome = outcome;
  report.container_pid = pid;
  report.runtime_status = status;
  report.container_start_time = pid > 0 ? StartTimeOf(pid) : 0;
  report.message_size = static_cast<uint32_t>(text.size);
  Send(socket, &report, sizeof(report), text, terminal);
}

// The process has the descriptors now: ours would keep its pipes open.
void GiveUpStdio() {
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd = 0; fd < 3; ++fd) {
    dup2(null.get(), fd);
  }
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) != pid) {
    if (errno != EINTR) {
      return -1;
    }
  }
  return status;
}

// What goes with the good news: nothing, or why the process is not where it should be. Kernels
// before 6.2 forget the affinity of who enters a cpuset, so it is set once more.
void KeepOnCpu(const Options& options, pid_t pid, FixedText<128>* remark) {
  const int error = options.cpu == UINT64_MAX ? 0 : PinToCpu(pid, options.cpu);
  if (error != 0 && error != ESRCH) {
    *remark << "cannot keep the process on CPU " << options.cpu << ": errno "
            << static_cast<uint64_t>(error);
  }
}

// All that is ours to collect, until the process itself; what it left behind is then somebody
// else's.
int CollectUntil(pid_t pid) {
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(-1, &status, 0)) != pid) {
    if (ended < 0 && errno != EINTR) {
      return -1;
    }
  }
  return status;
}

// The runtime has ended well: the process runs, or ran.
void Follow(const Options& options, int socket, int listener) {
  uint64_t pid = 0;
  if (!ReadNumberFile(kPidFile, &pid) || pid == 0 || pid > INT32_MAX) {
    SendReport(socket, StartOutcome::kMonitorFailed, 0, -1,
               "the OCI runtime succeeded but wrote no pid file", -1);
    return;
  }
  Fd terminal;
  if (options.tty) {
    terminal = ReceiveConsole(listener);
    if (!terminal.valid()) {
      kill(static_cast<pid_t>(pid), SIGKILL);
      SendReport(socket, StartOutcome::kMonitorFailed, 0, -1, "the OCI runtime sent no terminal",
                 -1);
      CollectUntil(static_cast<pid_t>(pid));
      return;
    }
  }
  FixedText<128> remark;
  KeepOnCpu(options, static_cast<pid_t>(pid), &remark);
  SendReport(socket, StartOutcome::kRunning, 0, static_cast<pid_t>(pid), remark.text(),
             terminal.get());
  terminal.Reset();
  WriteFile("/proc/self/oom_score_adj", "-1000");  // not before the runtime ran
  const ExitReport report = {kProtocolVersion, CollectUntil(static_cast<pid_t>(pid))};
  Send(socket, &report, sizeof(report), "", -1);
}

}  // namespace

const char* RunExec(const Options& options) {
  const auto socket = static_cast<int>(options.sync_fd);
  KeepGiven(options);
  if (chdir(options.run_dir) != 0) {
    return "enter the run directory";
  }
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return "become the process's reaper";
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  Fd listener;
  ConsolePath console;
  if (options.tty) {
    errno = ListenConsole(&listener);
    if (errno != 0) {
      return "listen for the process's terminal";
    }
    NameConsole(&console);
  }
  // What the daemon did not ask for is the node's /dev/null.
  Fd null_mount;
  errno = ReplaceNullStdio(&null_mount);
  if (errno != 0) {
    return "make a null device for the process";
  }
  Stdio stdio;
  stdio.in.Reset(0);
  stdio.out.Reset(1);
  stdio.err.Reset(2);
  const pid_t runtime = SpawnRuntime(options, stdio, options.tty ? console.c_str() : nullptr);
  stdio.in.Release();
  stdio.out.Release();
  stdio.err.Release();
  if (runtime < 0) {
    return "start the OCI runtime";
  }
  GiveUpStdio();
  const int status = WaitFor(runtime);
  if (status != 0) {
    SendReport(socket, StartOutcome::kRuntimeFailed, status, -1, "", -1);
  } else {
    Follow(options, socket, listener.get());
  }
  return nullptr;
}

}  // namespace davit::conmon
