// SPDX-License-Identifier: Apache-2.0
#include "image/registries/registries.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>

#include "base/log.h"
#include "base/status.h"

namespace davit::image {
namespace {

// Editors and configuration tools write several times in a row.
constexpr std::chrono::milliseconds kSettle{200};
constexpr uint32_t kChanges = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

void LogWarnings(const RegistriesConf& conf) {
  for (const std::string& warning : conf.warnings) {
    log::Warning("{}", warning);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Registries>> Registries::Create(const config::Image& config) {
  std::unique_ptr<Registries> registries(
      new Registries({.file = config.registries_conf,
                      .directory = config.registries_conf_dir,
                      .short_name_aliases = config.short_name_aliases}));
  ASSIGN_OR_RETURN(RegistriesConf conf, LoadRegistriesConf(registries->paths_));
  LogWarnings(conf);
  absl::MutexLock lock(&registries->mutex_);
  registries->current_ = std::make_shared<const RegistriesConf>(std::move(conf));
  return registries;
}

Registries::~Registries() {
  if (loop_ != nullptr) {
    loop_->Unwatch(watch_);
    if (timer_ != 0) {
      loop_->CancelTimer(timer_);
    }
  }
}

RegistriesPtr Registries::Get() const {
  absl::MutexLock lock(&mutex_);
  return current_;
}

absl::Status Registries::last_error() const {
  absl::MutexLock lock(&mutex_);
  return last_error_;
}

absl::Status Registries::Reload() {
  auto conf = LoadRegistriesConf(paths_);
  absl::MutexLock lock(&mutex_);
  if (!conf.ok()) {
    if (conf.status() != last_error_) {
      log::Error("{}; the registries stay as they were", Message(conf.status()));
    }
  } else if (*conf != *current_) {
    LogWarnings(*conf);
    log::Info("registries.conf is read again: {} registries, {} aliases", conf->registries.size(),
              conf->aliases.size());
    current_ = std::make_shared<const RegistriesConf>(*std::move(conf));
  }
  last_error_ = conf.status();
  return last_error_;
}

absl::Status Registries::Watch(EventLoop& loop) {
  inotify_.Reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.valid()) {
    return ErrnoStatus(errno, "watch registries.conf: inotify_init1");
  }
  AddWatches();
  loop_ = &loop;
  ASSIGN_OR_RETURN(watch_, loop.Watch(inotify_.get(), EPOLLIN, [this](uint32_t) { OnChange(); }));
  return absl::OkStatus();
}

// The directories that hold the files, and those that hold these: a drop-in directory may come
// later. What is watched already stays.
void Registries::AddWatches() {
  for (const std::string* const path :
       {&paths_.file, &paths_.directory, &paths_.short_name_aliases}) {
    if (path->empty()) {
      continue;
    }
    std::filesystem::path directory = *path;
    inotify_add_watch(inotify_.get(), directory.c_str(), kChanges | IN_ONLYDIR);
    directory = directory.parent_path();
    while (inotify_add_watch(inotify_.get(), directory.c_str(), kChanges | IN_ONLYDIR) < 0 &&
           directory.has_relative_path()) {
      directory = directory.parent_path();
    }
  }
}

void Registries::OnChange() {
  alignas(inotify_event) std::array<char, 4096> buffer = {};
  while (read(inotify_.get(), buffer.data(), buffer.size()) > 0) {
  }
  if (pending_) {
    return;
  }
  pending_ = true;
  timer_ = loop_->After(kSettle, [this] {
    pending_ = false;
    AddWatches();
    static_cast<void>(Reload());  // logged and kept there
  });
}

}  // namespace davit::image
