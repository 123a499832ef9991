// SPDX-License-Identifier: Apache-2.0
#include "server/stats/writable_usage.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/time.h"

namespace davit::server {

namespace {

std::optional<FsCapacity> CapacityAt(const std::string& path) {
  struct statvfs st {};
  if (statvfs(path.c_str(), &st) != 0) {
    return std::nullopt;
  }
  return FsCapacity{.bytes = static_cast<uint64_t>(st.f_blocks) * st.f_frsize,
                    .inodes = st.f_files,
                    .inodes_free = st.f_ffree};
}

}  // namespace

std::optional<storage::FsUsage> WritableUsage::Get(const std::string& container_id) {
  absl::MutexLock lock(&mutex_);
  const auto it = samples_.find(container_id);
  const bool have = it != samples_.end();
  const int64_t oldest =
      NowNanos() - std::chrono::duration_cast<std::chrono::nanoseconds>(refresh_).count();
  if ((!have || it->second.timestamp_ns < oldest) && walking_.insert(container_id).second) {
    executor_.Run([this, container_id] { Refresh(container_id); });
  }
  return have ? std::optional(it->second) : std::nullopt;
}

storage::FsUsage WritableUsage::Total() {
  storage::FsUsage total;
  total.timestamp_ns = NowNanos();
  for (const auto& id : storage_.ListRootfs()) {
    if (const auto sample = Get(id)) {
      total.used_bytes += sample->used_bytes;
      total.inodes_used += sample->inodes_used;
      total.timestamp_ns = std::min(total.timestamp_ns, sample->timestamp_ns);
    }
  }
  return total;
}

std::optional<FsCapacity> WritableUsage::Capacity() {
  absl::MutexLock lock(&mutex_);
  return capacity_;
}

void WritableUsage::Forget(const std::string& container_id) {
  absl::MutexLock lock(&mutex_);
  samples_.erase(container_id);
}

void WritableUsage::MeasureImages() {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(measuring_, true)) {
    return;
  }
  executor_.Run([this] {
    log::IfError(storage_.MeasureLayers(), "size of images");
    absl::MutexLock done(&mutex_);
    measuring_ = false;
  });
}

void WritableUsage::Refresh(const std::string& container_id) {
  auto usage = storage_.RootfsUsage(container_id);
  const auto capacity = usage.ok() ? CapacityAt(usage->mountpoint) : std::nullopt;
  absl::MutexLock lock(&mutex_);
  walking_.erase(container_id);
  if (usage.ok()) {
    capacity_ = capacity ? capacity : capacity_;
    samples_[container_id] = *std::move(usage);
  } else if (absl::IsNotFound(usage.status())) {
    samples_.erase(container_id);  // removed while it was walked
  } else {
    log::Warning("size of the writable layer of container {}: {}", container_id,
                 Message(usage.status()));
  }
}

}  // namespace davit::server
