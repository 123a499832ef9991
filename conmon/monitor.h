// SPDX-License-Identifier: Apache-2.0
//
// One container's life as seen by its monitor: one epoll loop over SIGCHLD, the container's output
// and the control socket, through three phases.
//
//   starting --(runtime succeeded)--> running --(first process ended)--> exited --(drained)--> end
//      \---------(runtime failed)-------------------------------------------------------> end
//
// While starting nothing but the runtime is reaped, so that the kernel keeps the status of a
// container that ends before its pid is known.
#pragma once

#include <sys/epoll.h>
#include <sys/types.h>

#include "conmon/attach.h"
#include "conmon/control.h"
#include "conmon/exit_file.h"
#include "conmon/launch.h"
#include "conmon/log.h"
#include "conmon/oom.h"
#include "conmon/options.h"
#include "conmon/protocol.h"
#include "conmon/seccomp.h"
#include "conmon/stream.h"
#include "conmon/sys.h"

namespace davit::conmon {

class Monitor {
 public:
  explicit Monitor(const Options& options) : options_(options) {}

  // Everything before the loop: null, or what failed (errno says why).
  const char* Start();
  // Until the end; the process's exit code.
  int Run();

 private:
  const char* EnterRunDir();
  const char* OpenLog();
  const char* MakeLoop();
  const char* StartRuntime();

  bool Watch(int fd, uint64_t tag, uint32_t events = EPOLLIN);
  void Dispatch(uint64_t tag);
  int Timeout() const;
  int StreamTimeout() const;
  void RestStreams();
  void ReadStream(size_t index);
  void ResumeStreams();

  void OnChild();
  void OnOomEvent();
  void OnRuntimeEnd(int status);
  bool OpenStreams();
  bool OpenInput();
  void Report(StartOutcome outcome, int runtime_status, Text message);
  void ReportFailure(int runtime_status, Text message);
  bool Drained() const;
  int Finish();

  void OnConnect();
  void OnClient(size_t index);
  Reply Answer(const Request& request, Fd* fds);
  int Execute(const Request& request, Fd* fds);

  const Options& options_;
  Phase phase_ = Phase::kStarting;
  bool failed_ = false;

  Fd epoll_;
  Fd signals_;
  Fd control_;
  Fd clients_[kMaxClients];
  bool accepting_ = false;

  Fd sync_;
  Stdio stdio_;
  Fd console_listener_;
  Fd terminal_slave_;  // held open: the terminal must not end when nobody in the container has it
  pid_t runtime_pid_ = -1;

  pid_t container_pid_ = -1;
  uint64_t container_start_time_ = 0;
  OomCounter oom_;
  Log log_;
  Stream streams_[kOutputs];
  bool held_up_[kOutputs] = {};  // not read, because an attached client has to catch up
  Attach attach_;
  Seccomp seccomp_;

  ExitRecord exit_;
  int64_t exited_ms_ = 0;
};

}  // namespace davit::conmon
