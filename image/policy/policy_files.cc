// SPDX-License-Identifier: Apache-2.0
#include "image/policy/policy_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

constexpr size_t kMaxNamespace = 253;
constexpr size_t kMaxEntries = 1000;

// A namespace becomes part of a path: one component, and no other file than it names.
absl::Status CheckNamespace(const std::string& name) {
  const bool component = name.size() <= kMaxNamespace && name.front() != '.' &&
                         name.find('/') == std::string::npos &&
                         name.find('\0') == std::string::npos;
  return component ? absl::OkStatus()
                   : InvalidArgument("'{}' cannot be the namespace of a pod", Printable(name));
}

bool SameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// Unlike PathExists: what may be there but cannot be seen is an error.
absl::StatusOr<bool> Exists(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0) {
    return true;
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return false;
  }
  return ErrnoStatus(errno, "look for policy " + path);
}

}  // namespace

bool PolicyFiles::Stamp::Same(const Stamp& other) const {
  return device == other.device && inode == other.inode && size == other.size &&
         SameTime(modified, other.modified) && SameTime(changed, other.changed);
}

absl::StatusOr<PolicyFiles::Stamp> PolicyFiles::StampOf(int fd, const std::string& path) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    return ErrnoStatus(errno, "stat policy " + path);
  }
  return Stamp{.device = info.st_dev,
               .inode = info.st_ino,
               .size = info.st_size,
               .modified = info.st_mtim,
               .changed = info.st_ctim};
}

absl::StatusOr<std::shared_ptr<const Policy>> PolicyFiles::Load(const std::string& path) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY | O_NONBLOCK));
  ASSIGN_OR_RETURN(const Stamp stamp, StampOf(fd.get(), path));
  {
    absl::MutexLock lock(&mutex_);
    const auto it = entries_.find(path);
    if (it != entries_.end() && it->second.stamp.Same(stamp)) {
      return it->second.policy;
    }
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFd(fd.get(), kMaxPolicyBytes, path));
  auto parsed = ParsePolicy(text);
  if (!parsed.ok()) {
    return Annotate(parsed.status(), "policy file " + path);
  }
  auto policy = std::make_shared<const Policy>(*std::move(parsed));
  absl::MutexLock lock(&mutex_);
  if (entries_.size() >= kMaxEntries) {
    entries_.clear();  // namespaces come and go
  }
  entries_[path] = {.stamp = stamp, .policy = policy};
  return policy;
}

absl::StatusOr<std::string> PolicyFiles::FileFor(const std::string& pod_namespace) const {
  if (!pod_namespace.empty() && !directory_.empty()) {
    RETURN_IF_ERROR(CheckNamespace(pod_namespace));
    const std::string own = JoinPath(directory_, pod_namespace + ".json");
    ASSIGN_OR_RETURN(const bool exists, Exists(own));
    if (exists) {
      return own;
    }
  }
  if (!configured_.empty()) {
    return configured_;
  }
  ASSIGN_OR_RETURN(const bool exists, Exists(kDefaultPolicyFile));
  return exists ? std::string(kDefaultPolicyFile) : std::string();
}

absl::StatusOr<ActivePolicy> PolicyFiles::For(const std::string& pod_namespace) const {
  static const auto& anything =
      *new std::shared_ptr<const Policy>(std::make_shared<Policy>(AcceptAnythingPolicy()));
  ASSIGN_OR_RETURN(const std::string file, FileFor(pod_namespace));
  if (file.empty()) {
    return ActivePolicy{.file = "", .policy = anything};
  }
  ASSIGN_OR_RETURN(auto policy, Load(file));
  return ActivePolicy{.file = file, .policy = std::move(policy)};
}

}  // namespace davit::image
