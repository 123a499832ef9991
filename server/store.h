// SPDX-License-Identifier: Apache-2.0
//
// The objects of one kind in memory, by ID, by name and by sandbox. Holds its lock for look-ups
// only. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/id.h"
#include "base/status.h"

namespace davit::server {

// Bytes that several answers may be sending at a time.
using SharedBytes = std::shared_ptr<const std::string>;

template <typename T>
class Store {
  static constexpr bool kInSandbox = requires(const T& object) { object.sandbox_id(); };

 public:
  explicit Store(const char* kind) : kind_(kind) {}  // "sandbox", "container": for messages

  void Add(std::shared_ptr<T> object) {
    absl::MutexLock lock(&mutex_);
    object->CountChangesIn(changes_);
    by_name_[object->name()] = object;
    if constexpr (kInSandbox) {
      by_sandbox_[object->sandbox_id()][object->id()] = object;
    }
    by_id_[object->id()] = std::move(object);
    ++*changes_;
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
    if constexpr (kInSandbox) {
      RemoveFromSandbox(*it->second);
    }
    by_id_.erase(it);
    ++*changes_;
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

  [[nodiscard]] size_t Size() const {
    absl::ReaderMutexLock lock(&mutex_);
    return by_id_.size();
  }

  std::vector<std::shared_ptr<T>> List() const {
    absl::ReaderMutexLock lock(&mutex_);
    return ValuesOf(by_id_);
  }

  // The list of all as `build` makes it: made anew only if an object has come, gone or changed
  // since.
  template <typename Build>
  SharedBytes Whole(Build build) const {
    absl::MutexLock lock(&whole_mutex_);
    // Read first: a change while it is built makes the next call build again.
    const uint64_t changes = *changes_;
    if (whole_ == nullptr || whole_after_ != changes) {
      whole_ = std::make_shared<const std::string>(build());
      whole_after_ = changes;
    }
    return whole_;
  }

  // Those in a sandbox, of objects that are in one.
  std::vector<std::shared_ptr<T>> ListOf(const std::string& sandbox_id) const
    requires(kInSandbox)
  {
    absl::ReaderMutexLock lock(&mutex_);
    const auto it = by_sandbox_.find(sandbox_id);
    return it == by_sandbox_.end() ? std::vector<std::shared_ptr<T>>() : ValuesOf(it->second);
  }

 private:
  using Objects = std::map<std::string, std::shared_ptr<T>>;

  static std::vector<std::shared_ptr<T>> ValuesOf(const Objects& objects) {
    std::vector<std::shared_ptr<T>> values;
    values.reserve(objects.size());
    for (const auto& [key, object] : objects) {
      values.push_back(object);
    }
    return values;
  }

  void RemoveFromSandbox(const T& object) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto it = by_sandbox_.find(object.sandbox_id());
    it->second.erase(object.id());
    if (it->second.empty()) {
      by_sandbox_.erase(it);
    }
  }

  const char* kind_;
  mutable absl::Mutex mutex_;
  Objects by_id_ ABSL_GUARDED_BY(mutex_);
  Objects by_name_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Objects> by_sandbox_ ABSL_GUARDED_BY(mutex_);

  const std::shared_ptr<std::atomic<uint64_t>> changes_ =
      std::make_shared<std::atomic<uint64_t>>(0);
  mutable absl::Mutex whole_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable SharedBytes whole_ ABSL_GUARDED_BY(whole_mutex_);
  mutable uint64_t whole_after_ ABSL_GUARDED_BY(whole_mutex_) = 0;
};

}  // namespace davit::server
