// SPDX-License-Identifier: Apache-2.0
#include "storage/reaper.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

namespace davit::storage {
namespace {

// ioprio_set(2). Not from linux/ioprio.h: Debian's of 6.1.192 has a parameter named `class`.
constexpr int kWhoProcess = 1;
constexpr int kIdleClass = 3;
constexpr int kClassShift = 13;

}  // namespace

Reaper::~Reaper() {
  std::thread thread;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    thread = std::move(thread_);
  }
  if (thread.joinable()) {
    thread.join();
  }
}

void Reaper::Add(const std::vector<std::string>& directories) {
  std::thread ended;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::string& directory : directories) {
      std::erase(failed_, directory);
      queue_.push_back(directory);
    }
    if (working_ || stopping_ || queue_.empty()) {
      return;
    }
    ended = std::move(thread_);
    try {
      thread_ = std::thread([this] { Work(); });
      working_ = true;
    } catch (const std::system_error& error) {
      // They wait for the next call, or for the next start of the daemon.
      log::Warning("start a thread to delete layers: {}", error.what());
    }
  }
  if (ended.joinable()) {
    ended.join();
  }
}

void Reaper::Work() {
  // Pulls and containers first. Where the kernel refuses, deletion is as fast as anything else.
  syscall(SYS_ioprio_set, kWhoProcess, 0, kIdleClass << kClassShift);
  while (true) {
    std::string directory;
    {
      absl::MutexLock lock(&mutex_);
      if (queue_.empty() || stopping_) {
        working_ = false;
        return;
      }
      directory = queue_.front();
    }
    const absl::Status status = RemoveTree(directory);
    log::IfError(status, "delete layer");
    absl::MutexLock lock(&mutex_);
    queue_.pop_front();
    if (!status.ok()) {
      failed_.push_back(directory);
    }
  }
}

void Reaper::Drain() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](Reaper* reaper) ABSL_NO_THREAD_SAFETY_ANALYSIS { return !reaper->working_; }, this));
}

size_t Reaper::waiting() const {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

std::vector<std::string> Reaper::failed() const {
  absl::MutexLock lock(&mutex_);
  return failed_;
}

}  // namespace davit::storage
