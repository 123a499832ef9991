// SPDX-License-Identifier: Apache-2.0
#include "server/storage_health.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/fd.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server {
namespace {

std::string MarkOf(const std::string& root) {
  return JoinPath(root, "running");
}

absl::StatusOr<LastEnd> ReadLastEnd(const std::string& root) {
  if (!PathExists(MarkOf(root))) {
    return PathExists(JoinPath(root, "davit.db")) ? LastEnd::kOrderly : LastEnd::kFirstStart;
  }
  ASSIGN_OR_RETURN(const std::string boot_id, ReadFile(MarkOf(root), 4096));
  return Trim(boot_id) == BootId() ? LastEnd::kKilled : LastEnd::kMachineDied;
}

const char* Words(LastEnd end) {
  switch (end) {
    case LastEnd::kFirstStart:
      return "this is the first start";
    case LastEnd::kOrderly:
      return "the last daemon ended in order";
    case LastEnd::kKilled:
      return "the last daemon was killed";
    case LastEnd::kMachineDied:
      return "the machine went down under the last daemon";
  }
  return "";
}

class Logger : public storage::CheckObserver {
 public:
  void Found(const storage::CheckFinding& finding) override {
    log::Warning("{}: {} ({})", finding.object, finding.text, finding.remedy);
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<StorageHealth>> StorageHealth::Create(const std::string& root) {
  ASSIGN_OR_RETURN(const LastEnd last, ReadLastEnd(root));
  RETURN_IF_ERROR(
      WriteFileAtomic(MarkOf(root), std::string(BootId()) + "\n", 0600, Durability::kDurable));
  std::unique_ptr<StorageHealth> health(new StorageHealth(root, last));
  health->Say(std::string("not checked: ") + Words(last), false);
  return health;
}

StorageHealth::~StorageHealth() {
  ctx_.Cancel();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](StorageHealth* self) ABSL_NO_THREAD_SAFETY_ANALYSIS { return !self->checking_; }, this));
}

void StorageHealth::Say(std::string text, bool checking) {
  absl::MutexLock lock(&mutex_);
  text_ = std::move(text);
  checking_ = checking;
}

std::string StorageHealth::Describe() const {
  absl::MutexLock lock(&mutex_);
  return text_;
}

void StorageHealth::CheckAfterLastEnd(storage::Storage& storage, Executor& executor, bool synced) {
  if (last_end_ == LastEnd::kFirstStart || last_end_ == LastEnd::kOrderly) {
    return;
  }
  const bool by_content = last_end_ == LastEnd::kMachineDied && !synced;
  log::Info("{}: the store is checked{}", Words(last_end_), by_content ? " by content" : "");
  Say("a check goes on", true);
  executor.Run(
      [this, &storage, by_content] { Check(storage, {.full = by_content, .repair = by_content}); });
}

void StorageHealth::Check(storage::Storage& storage, const storage::CheckOptions& options) {
  Logger logger;
  const absl::StatusOr<storage::CheckReport> report = storage.Check(ctx_, options, logger);
  std::string text;
  if (!report.ok()) {
    text = "the check failed: " + Message(report.status());
  } else if (report->findings == 0) {
    text = "all well";
  } else {
    text = fmt::format("{} findings, {} repaired; see the log, or `davit check`", report->findings,
                       report->repaired);
  }
  log::Info("check of {} images, {} layers, {} containers: {}", report.ok() ? report->images : 0,
            report.ok() ? report->layers : 0, report.ok() ? report->containers : 0, text);
  Say(std::move(text), false);
}

absl::Status StorageHealth::OrderlyEnd() {
  ASSIGN_OR_RETURN(const UniqueFd dir, Open(root_, O_RDONLY | O_DIRECTORY));
  if (syncfs(dir.get()) != 0) {
    return ErrnoStatus(errno, "sync the file system of " + root_);
  }
  RETURN_IF_ERROR(RemoveFile(MarkOf(root_)));
  return fsync(dir.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "sync " + root_);
}

}  // namespace davit::server
