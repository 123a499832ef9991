// SPDX-License-Identifier: Apache-2.0
//
// The objects of one kind in memory, by ID and by name. Holds its lock for look-ups only.
// Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/id.h"
#include "base/status.h"

namespace davit::server {

template <typename T>
class Store {
 public:
  explicit Store(const char* kind) : kind_(kind) {}  // "sandbox", "container": for messages

  void Add(std::shared_ptr<T> object) {
    absl::MutexLock lock(&mutex_);
    by_name_[object->name()] = object;
    by_id_[object->id()] = std::move(object);
  }

  void Remove(const std::string& id) {
    absl::MutexLock lock(&mutex_);
    auto it = by_id_.find(id);
    if (it == by_id_.end()) {
      return;
    }
    auto named = by_name_.find(it->second->name());
    if (named != by_name_.end() && named->second == it->second) {
      by_name_.erase(named);
    }
    by_id_.erase(it);
  }

  // By full ID or any unambiguous prefix. NotFound names kind and ID; InvalidArgument for an empty,
  // malformed or ambiguous one.
  absl::StatusOr<std::shared_ptr<T>> Find(const std::string& id) const {
    if (id.empty()) {
      return InvalidArgument("{} ID is missing from the request", kind_);
    }
    absl::ReaderMutexLock lock(&mutex_);
    auto it = by_id_.lower_bound(id);
    if (it == by_id_.end() || it->first.compare(0, id.size(), id) != 0) {
      return NotFound("{} {} does not exist", kind_, id);
    }
    auto next = std::next(it);
    if (it->first.size() != id.size() && next != by_id_.end() &&
        next->first.compare(0, id.size(), id) == 0) {
      return InvalidArgument("{} ID {} is ambiguous: {} and {} begin with it; give more digits",
                             kind_, id, ShortId(it->first), ShortId(next->first));
    }
    return it->second;
  }

  // Null if no live object has the name.
  std::shared_ptr<T> FindByName(const std::string& name) const {
    absl::ReaderMutexLock lock(&mutex_);
    auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : it->second;
  }

  std::vector<std::shared_ptr<T>> List() const {
    absl::ReaderMutexLock lock(&mutex_);
    std::vector<std::shared_ptr<T>> all;
    all.reserve(by_id_.size());
    for (const auto& [id, object] : by_id_) {
      all.push_back(object);
    }
    return all;
  }

 private:
  const char* kind_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<T>> by_id_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<T>> by_name_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::server
