// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/restore_batch.h"

#include <chrono>
#include <utility>

#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit::network::builtin {
namespace {

constexpr std::chrono::seconds kTimeout{20};
constexpr size_t kMaxOutput = 64U << 20U;

absl::StatusOr<RunResult> RunProgram(Context& ctx, const std::string& name,
                                     std::vector<std::string> arguments, const std::string& input) {
  ASSIGN_OR_RETURN(const std::string path, FindProgram(name));
  SpawnOptions spawn;
  spawn.argv = std::move(arguments);
  spawn.argv.insert(spawn.argv.begin(), path);
  spawn.env = MinimalEnv();
  spawn.new_session = true;
  return davit::Run(ctx, spawn, {.input = input, .max_output = kMaxOutput});
}

}  // namespace

RestoreBatch::RestoreBatch(std::string program, std::string table)
    : program_(std::move(program)), table_(std::move(table)) {}

bool RestoreBatch::IsInstalled() const {
  return FindProgram(program_ + "-restore").ok() && FindProgram(program_ + "-save").ok();
}

absl::Status RestoreBatch::Restore(const std::string& lines) const {
  // Its own time: the one whose request began the run may lose patience, the others wait on.
  Context ctx(kTimeout);
  const std::string name = program_ + "-restore";
  ASSIGN_OR_RETURN(const RunResult run, RunProgram(ctx, name, {"--noflush", "--wait"},
                                                   fmt::format("*{}\n{}COMMIT\n", table_, lines)));
  if (run.exit.code != 0) {
    return Internal("{} exited with {}: {}", name, run.exit.code, Printable(Trim(run.err), 500));
  }
  return absl::OkStatus();
}

void RestoreBatch::RunAll(const std::deque<Change*>& changes) const {
  std::string lines;
  for (const Change* const change : changes) {
    lines += change->lines;
  }
  const absl::Status status = Restore(lines);
  for (Change* const change : changes) {
    // A run that fails changes nothing: who is to blame shows when each has one of his own.
    change->status = status.ok() || changes.size() == 1 ? status : Restore(change->lines);
  }
}

absl::Status RestoreBatch::Apply(Context& ctx, const std::string& lines) {
  RETURN_IF_ERROR(ctx.Check());
  Change mine{lines, absl::OkStatus()};
  const absl::MutexLock lock(&mutex_);
  waiting_.push_back(&mine);
  while (running_ && !mine.done) {
    finished_.Wait(&mutex_);
  }
  if (mine.done) {
    return mine.status;
  }
  running_ = true;
  const std::deque<Change*> batch = std::exchange(waiting_, {});
  mutex_.Unlock();
  RunAll(batch);
  mutex_.Lock();
  for (Change* const change : batch) {
    change->done = true;
  }
  running_ = false;
  finished_.SignalAll();
  return mine.status;
}

absl::StatusOr<std::string> RestoreBatch::Save(Context& ctx) const {
  const std::string name = program_ + "-save";
  Context limited(ctx, kTimeout);
  ASSIGN_OR_RETURN(RunResult run, RunProgram(limited, name, {"-t", table_}, ""));
  if (run.exit.code != 0 || run.truncated) {
    return Internal("{} exited with {}: {}", name, run.exit.code, Printable(Trim(run.err), 500));
  }
  return std::move(run.out);
}

}  // namespace davit::network::builtin
