// SPDX-License-Identifier: Apache-2.0
//
// registries.conf and its drop-ins as they are now: read at start, and again when one of them
// changes or when the daemon is told to. A file with a mistake stops the start; later the last good
// state stays, and the mistake is logged and kept for whoever asks. A pull works with the state in
// which it began. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/event_loop.h"
#include "base/fd.h"
#include "config/config.h"
#include "image/registries/registries_conf.h"

namespace davit::image {

using RegistriesPtr = std::shared_ptr<const RegistriesConf>;

class Registries {
 public:
  static absl::StatusOr<std::unique_ptr<Registries>> Create(const config::Image& config);
  ~Registries();
  Registries(const Registries&) = delete;
  Registries& operator=(const Registries&) = delete;

  // Never null.
  [[nodiscard]] RegistriesPtr Get() const;

  // Reads the files again. On an error the last good state stays.
  absl::Status Reload();

  // Of the last reading: OK, or "FILE:LINE: what is wrong".
  [[nodiscard]] absl::Status last_error() const;

  // Reloads, a moment after a change of the files. The loop must outlive *this. A directory that is
  // not there yet is seen when it is made beside one that is.
  absl::Status Watch(EventLoop& loop);

 private:
  explicit Registries(RegistriesPaths paths) : paths_(std::move(paths)) {}
  void AddWatches();
  void OnChange();

  const RegistriesPaths paths_;
  mutable absl::Mutex mutex_;
  RegistriesPtr current_ ABSL_GUARDED_BY(mutex_);
  absl::Status last_error_ ABSL_GUARDED_BY(mutex_);

  EventLoop* loop_ = nullptr;
  UniqueFd inotify_;
  EventLoop::WatchId watch_ = 0;
  EventLoop::TimerId timer_ = 0;  // the last one; the loop's thread's, as is what follows
  bool pending_ = false;
};

}  // namespace davit::image
