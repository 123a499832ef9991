// SPDX-License-Identifier: Apache-2.0
//
// Runtime::Exec: one process in a container, listened to until it ends.
#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "base/cpus.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/pipe.h"
#include "base/poll.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "base/time.h"
#include "server/oci/process_tree.h"
#include "server/oci/runtime.h"
#include "server/oci/runtime_error.h"

namespace davit::server::oci {
namespace {

constexpr size_t kReadSize = 32768;
constexpr size_t kMaxRuntimeLog = 1U << 20U;
// When the process has ended a child that it left behind may hold the pipes: how long they are
// still listened to, silent and at all.
constexpr std::chrono::milliseconds kQuietTime{100};
constexpr std::chrono::milliseconds kDrainTime{1000};
constexpr std::chrono::milliseconds kGraceTime{500};
constexpr std::chrono::seconds kReapTime{5};

// The reading end of an output of the process.
class Output {
 public:
  absl::StatusOr<UniqueFd> Open(std::string* text, size_t limit) {
    ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    fd_ = std::move(pipe.reader);
    fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
    text_ = text;
    limit_ = limit;
    return std::move(pipe.writer);
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool open() const { return fd_.valid(); }

  // Reads once; true if there was something. Closes itself at the end.
  bool Read() {
    std::array<char, kReadSize> buffer;
    const ssize_t count = read(fd_.get(), buffer.data(), buffer.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      return false;
    }
    if (count <= 0) {
      fd_.Reset();
      return false;
    }
    const size_t room = limit_ - std::min(limit_, text_->size());
    text_->append(buffer.data(), std::min(room, static_cast<size_t>(count)));
    return true;
  }

 private:
  UniqueFd fd_;
  std::string* text_ = nullptr;
  size_t limit_ = 0;
};

// The files of one exec, gone with it.
class Scratch {
 public:
  explicit Scratch(const std::string& directory) {
    static std::atomic<uint64_t> counter = 0;
    base_ = JoinPath(directory, fmt::format("{}-{}", NowNanos(), counter.fetch_add(1)));
  }
  ~Scratch() {
    for (const std::string& path : {process(), pid(), log()}) {
      log::IfError(RemoveFile(path), "remove a file of an exec");
    }
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] std::string process() const { return base_ + ".json"; }
  [[nodiscard]] std::string pid() const { return base_ + ".pid"; }
  [[nodiscard]] std::string log() const { return base_ + ".log"; }

 private:
  std::string base_;
};

// Tells when a file in a directory has been written: crun writes pid files in place, runc renames
// them.
class WrittenFiles {
 public:
  absl::Status Open(const std::string& directory) {
    fd_.Reset(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd_.valid() ||
        inotify_add_watch(fd_.get(), directory.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
      return ErrnoStatus(errno, "watch " + directory);
    }
    return absl::OkStatus();
  }
  void Close() { fd_.Reset(); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Which file it was does not matter: who waits for one looks for it.
  void Drain() const {
    std::array<char, 4096> events;
    while (read(fd_.get(), events.data(), events.size()) > 0) {
    }
  }

 private:
  UniqueFd fd_;
};

class ExecCall {
 public:
  ExecCall(const Runtime& runtime, const std::string& id, const std::string& scratch_dir,
           const ExecOptions& options)
      : runtime_(runtime),
        id_(id),
        options_(options),
        scratch_dir_(scratch_dir),
        scratch_(scratch_dir) {}

  absl::StatusOr<ExecResult> Go(Context& ctx) {
    RETURN_IF_ERROR(Start());
    if (absl::Status status = Listen(ctx); !status.ok()) {
      KillAll();
      return status;
    }
    Context reap(kReapTime);
    ASSIGN_OR_RETURN(const ExitStatus exit, process_.Wait(reap));
    Drain(ctx);
    return Outcome(exit);
  }

 private:
  absl::Status Start() {
    ASSIGN_OR_RETURN(const UniqueFd file,
                     Open(scratch_.process(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW));
    RETURN_IF_ERROR(WriteFd(file.get(), options_.process_json, scratch_.process()));
    // An empty pipe, not /dev/null: crun gives the streams to the user of the process.
    ASSIGN_OR_RETURN(Pipe in, MakePipe());
    in.writer.Reset();
    ASSIGN_OR_RETURN(const UniqueFd out, outputs_[0].Open(&result_.out, options_.max_output));
    ASSIGN_OR_RETURN(const UniqueFd err, outputs_[1].Open(&result_.err, options_.max_output));
    SpawnOptions spawn;
    spawn.argv = {runtime_.path(),
                  "--root",
                  runtime_.root(),
                  "--log",
                  scratch_.log(),
                  "--log-format",
                  "json",
                  "exec",
                  "--process",
                  scratch_.process(),
                  "--pid-file",
                  scratch_.pid(),
                  id_};
    const RuntimeLaunch launch = runtime_.Launch();
    spawn.program = launch.program == nullptr ? -1 : launch.program->get();
    spawn.mount_namespace = launch.mount_namespace;
    spawn.env = MinimalEnv();
    spawn.fds = {
        {in.reader.get(), STDIN_FILENO}, {out.get(), STDOUT_FILENO}, {err.get(), STDERR_FILENO}};
    spawn.new_session = true;
    if (options_.cpu) {
      spawn.cpus = {*options_.cpu};
      RETURN_IF_ERROR(written_.Open(scratch_dir_));
    }
    ASSIGN_OR_RETURN(process_, Spawn(spawn));
    return absl::OkStatus();
  }

  // Waits for descriptors; true if one of the outputs had something. `ended`: the runtime has.
  absl::StatusOr<bool> Step(Context& ctx, bool& ended) {
    std::array<pollfd, 4> fds = {
        {{.fd = outputs_[0].fd(), .events = POLLIN, .revents = 0},
         {.fd = outputs_[1].fd(), .events = POLLIN, .revents = 0},
         {.fd = ended ? -1 : process_.pidfd(), .events = POLLIN, .revents = 0},
         {.fd = written_.fd(), .events = POLLIN, .revents = 0}}};
    RETURN_IF_ERROR(PollWith(ctx, fds));
    bool progress = false;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (fds[i].revents != 0) {
        progress = outputs_[i].Read() || progress;
      }
    }
    ended = ended || fds[2].revents != 0;
    if (fds[3].revents != 0) {
      KeepOnCpu();
    }
    return progress;
  }

  // The process by its pid file, unless that is another one by now: it began after the runtime did.
  [[nodiscard]] std::optional<pid_t> Executed(const absl::StatusOr<uint64_t>& runtime_start) const {
    const auto text = ReadFile(scratch_.pid(), 32);
    const auto pid = text.ok() ? ParseInt(Trim(*text)) : std::nullopt;
    if (!pid || *pid <= 1) {
      return std::nullopt;
    }
    const auto start = ProcessStartTime(static_cast<pid_t>(*pid));
    const bool its_own = start.ok() && runtime_start.ok() && *start >= *runtime_start;
    return its_own ? std::optional(static_cast<pid_t>(*pid)) : std::nullopt;
  }

  // Kernels before 6.2 forget the affinity of who enters a cpuset; the daemon's own cpuset may not
  // have the CPU.
  void KeepOnCpu() {
    written_.Drain();
    const auto pid = Executed(ProcessStartTime(process_.pid()));
    if (!pid) {
      return;  // another file
    }
    written_.Close();
    const absl::Status kept = SetAffinity(*pid, {*options_.cpu});
    if (!absl::IsNotFound(kept)) {  // ended already
      log::IfError(kept, "exec in container " + ShortId(id_));
    }
  }

  absl::Status Listen(Context& ctx) {
    bool ended = false;
    while (!ended) {
      RETURN_IF_ERROR(Step(ctx, ended).status());
      if (!ended) {
        RETURN_IF_ERROR(ctx.Check());
      }
    }
    return absl::OkStatus();
  }

  void Drain(Context& parent) {
    Context limit(parent, kDrainTime);
    bool ended = true;
    while (outputs_[0].open() || outputs_[1].open()) {
      Context quiet(limit, kQuietTime);
      const auto progress = Step(quiet, ended);
      if (!progress.ok() || !quiet.Check().ok()) {
        return;
      }
    }
  }

  // The process is the runtime's child, so its tree is all; the pid file covers a runtime that was
  // killed by somebody else.
  void KillAll() {
    const auto runtime_start = ProcessStartTime(process_.pid());
    log::IfError(KillTree(process_.pid(), TreeRoot::kOnlyStop), "kill an exec");
    EndRuntime();
    if (const auto pid = Executed(runtime_start)) {
      log::IfError(KillTree(*pid, TreeRoot::kKill), "kill an exec");
    }
  }

  // With its process gone it ends by itself, and reaps it first: killed at once it would leave a
  // zombie to the host's init, and the container's PID namespace cannot end before that is reaped.
  void EndRuntime() {
    log::IfError(process_.Kill(SIGCONT), "let an exec end");
    Context grace(kGraceTime);
    if (process_.Wait(grace).ok()) {
      return;
    }
    log::IfError(process_.Kill(SIGKILL), "kill an exec");
    Context reap(kReapTime);
    log::IfError(process_.Wait(reap).status(), "wait for an exec");
  }

  // An error is the runtime's own if it logged one and never came to the process.
  absl::StatusOr<ExecResult> Outcome(const ExitStatus& exit) {
    if (!PathExists(scratch_.pid())) {
      const auto log = ReadFile(scratch_.log(), kMaxRuntimeLog);
      std::string text = log.ok() ? LastRuntimeError(*log) : "";
      if (text.empty()) {
        text = fmt::format("OCI runtime {} ended with code {}: {}", runtime_.name(), exit.code,
                           Printable(Trim(result_.err)));
      }
      return RuntimeErrorStatus("exec in container " + ShortId(id_), text);
    }
    result_.exit_code = exit.code;
    return std::move(result_);
  }

  const Runtime& runtime_;
  const std::string& id_;
  const ExecOptions& options_;
  const std::string& scratch_dir_;
  const Scratch scratch_;
  WrittenFiles written_;
  std::array<Output, 2> outputs_;
  Process process_;
  ExecResult result_;
};

}  // namespace

absl::StatusOr<ExecResult> Runtime::Exec(Context& ctx, const std::string& id,
                                         const std::string& scratch_dir,
                                         const ExecOptions& options) const {
  ctx.SetStage("exec");
  RETURN_IF_ERROR(ctx.Check());
  RETURN_IF_ERROR(MakeDirs(scratch_dir));
  return ExecCall(*this, id, scratch_dir, options).Go(ctx);
}

}  // namespace davit::server::oci
