// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/host_local.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "network/cni_config.h"

namespace davit::network::builtin {
namespace {

constexpr char kDefaultDataDir[] = "/var/lib/cni/networks";
constexpr char kLockName[] = "lock";
// The file that becomes that of an address as it gets its name. One is enough: it is made under the
// lock. Whoever dies here leaves it with its container in it: it goes with that container's others.
constexpr char kNewName[] = ".davit-new";
constexpr size_t kMaxFileBytes = 4096;
constexpr mode_t kFileMode = 0644;
constexpr mode_t kLockMode = 0750;
constexpr std::chrono::microseconds kLockPause{200};

std::string ContentFor(std::string_view container) {
  return fmt::format("{}\r\n{}", container, kInterfaceName);
}

// Whoever holds the lock holds it for a moment; one that hangs must not hang the caller.
absl::StatusOr<UniqueFd> Lock(Context& ctx, const std::string& dir) {
  const std::string path = JoinPath(dir, kLockName);
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY | O_CREAT, kLockMode));
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return ErrnoStatus(errno, "lock " + path);
    }
    RETURN_IF_ERROR(Annotate(ctx.Check(), "wait for the lock " + path));
    std::this_thread::sleep_for(kLockPause);
  }
  return fd;
}

absl::Status WriteNew(const std::string& path, std::string_view content) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_WRONLY | O_CREAT | O_TRUNC, kFileMode));
  return WriteFd(fd.get(), content, path);
}

std::string Unpadded(const absl::StatusOr<std::string>& text) {
  return text.ok() ? std::string(Trim(*text)) : "";
}

}  // namespace

HostLocal::HostLocal(const std::string& data_dir, const std::string& network)
    : dir_(JoinPath(data_dir.empty() ? kDefaultDataDir : data_dir, network)) {}

absl::StatusOr<Lease> HostLocal::ReserveOne(const RangeSet& set, size_t number,
                                            std::string_view content) const {
  const std::string last_path = JoinPath(dir_, fmt::format("last_reserved_ip.{}", number));
  const std::string new_path = JoinPath(dir_, kNewName);
  RETURN_IF_ERROR(WriteNew(new_path, content));
  Candidates candidates(set, ParseIp(Unpadded(ReadFile(last_path, kMaxFileBytes))));
  const Range* range = nullptr;
  while (const std::optional<Ip> ip = candidates.Next(&range)) {
    const std::string path = JoinPath(dir_, ToText(*ip));
    if (access(path.c_str(), F_OK) == 0) {
      continue;
    }
    if (renameat2(AT_FDCWD, new_path.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
      return ErrnoStatus(errno, "reserve " + path);
    }
    RETURN_IF_ERROR(WriteNew(last_path, ToText(*ip)));
    return Lease{{*ip, range->subnet.length}, range->gateway};
  }
  RETURN_IF_ERROR(RemoveFile(new_path));
  return ResourceExhausted(
      "failed to allocate for range {}: no IP addresses available in range set: {}", number,
      ToText(set));
}

absl::StatusOr<std::vector<Lease>> HostLocal::Reserve(Context& ctx,
                                                      const std::vector<RangeSet>& sets,
                                                      std::string_view container) const {
  RETURN_IF_ERROR(MakeDirs(dir_, 0755));
  ASSIGN_OR_RETURN(const UniqueFd lock, Lock(ctx, dir_));
  const std::string content = ContentFor(container);
  std::vector<Lease> leases;
  for (size_t i = 0; i < sets.size(); ++i) {
    absl::StatusOr<Lease> lease = ReserveOne(sets[i], i, content);
    if (!lease.ok()) {
      for (const Lease& reserved : leases) {
        RETURN_IF_ERROR(RemoveFile(JoinPath(dir_, ToText(reserved.address.ip))));
      }
      return lease.status();
    }
    leases.push_back(*lease);
  }
  return leases;
}

absl::Status HostLocal::ReleaseAll(std::string_view content) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir_));
  for (const std::string& name : names) {
    if (name == kLockName || name.starts_with("last_reserved_ip.")) {
      continue;
    }
    const std::string path = JoinPath(dir_, name);
    if (Unpadded(ReadFile(path, kMaxFileBytes)) == content) {
      RETURN_IF_ERROR(RemoveFile(path));
    }
  }
  return absl::OkStatus();
}

absl::Status HostLocal::Release(Context& ctx, std::string_view container,
                                const std::vector<Prefix>& known) const {
  absl::StatusOr<UniqueFd> lock = Lock(ctx, dir_);
  if (absl::IsNotFound(lock.status())) {
    return absl::OkStatus();  // nothing was ever given out
  }
  RETURN_IF_ERROR(lock.status());
  const std::string content = ContentFor(container);
  if (known.empty()) {
    return ReleaseAll(content);
  }
  for (const Prefix& address : known) {
    const std::string path = JoinPath(dir_, ToText(address.ip));
    if (Unpadded(ReadFile(path, kMaxFileBytes)) == content) {
      RETURN_IF_ERROR(RemoveFile(path));
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::network::builtin
