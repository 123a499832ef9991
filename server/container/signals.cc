// SPDX-License-Identifier: Apache-2.0
#include "server/container/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/id.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit::server {
namespace {

// The first and last real-time signal as the kernel's ABI and container images count them: C
// libraries keep a few for themselves, musl's SIGRTMIN is 35.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

constexpr std::pair<std::string_view, int> kNames[] = {
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},       {"CHLD", SIGCHLD},
    {"CLD", SIGCHLD},  {"CONT", SIGCONT}, {"FPE", SIGFPE},       {"HUP", SIGHUP},
    {"ILL", SIGILL},   {"INT", SIGINT},   {"IO", SIGIO},         {"IOT", SIGABRT},
    {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"POLL", SIGIO},       {"PROF", SIGPROF},
    {"PWR", SIGPWR},   {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT},
    {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM},     {"TRAP", SIGTRAP},
    {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"RTMIN", kRtMin},     {"RTMAX", kRtMax},
};

constexpr std::string_view kPrefix = "SIGNAL_SIG";
constexpr std::string_view kMinPlus = "RTMINPLUS";
constexpr std::string_view kMaxMinus = "RTMAXMINUS";

}  // namespace

int SignalNumber(runtime::v1::Signal signal) {
  const std::string full = runtime::v1::Signal_Name(signal);
  std::string_view name = full;
  if (!name.starts_with(kPrefix)) {
    return SIGTERM;
  }
  name.remove_prefix(kPrefix.size());
  for (const auto& [known, number] : kNames) {
    if (known == name) {
      return number;
    }
  }
  if (name.starts_with(kMinPlus)) {
    return kRtMin + static_cast<int>(ParseInt(name.substr(kMinPlus.size())).value_or(0));
  }
  if (name.starts_with(kMaxMinus)) {
    return kRtMax - static_cast<int>(ParseInt(name.substr(kMaxMinus.size())).value_or(0));
  }
  return SIGTERM;
}

absl::Status SignalContainer(const Container::Record& record, int signal) {
  if (record.pid() <= 0) {
    return absl::OkStatus();
  }
  // The descriptor first: after it the pid cannot come to mean another process unnoticed.
  const auto pidfd = OpenPidfd(record.pid());
  if (!pidfd.ok()) {
    return absl::OkStatus();
  }
  const auto start_time = ProcessStartTime(record.pid());
  if (!start_time.ok() || *start_time != record.pid_start_time()) {
    return absl::OkStatus();
  }
  if (syscall(SYS_pidfd_send_signal, pidfd->get(), signal, nullptr, 0) != 0 && errno != ESRCH) {
    return ErrnoStatus(errno, fmt::format("send signal {} to process {} of container {}", signal,
                                          record.pid(), ShortId(record.id())));
  }
  return absl::OkStatus();
}

}  // namespace davit::server
