// SPDX-License-Identifier: Apache-2.0
//
// Linux namespaces pinned by bind mounts of /proc/*/ns/* (never kept as /proc/PID paths).
// unshare and setns happen on a thread made for it that ends afterwards: no pool thread ever
// changes its namespaces, working directory or credentials.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

struct PinnedNamespaces {
  // Pin files to make; an empty path means "do not make this namespace".
  std::string user = {};     // a user namespace that owns the others
  std::string uid_map = {};  // of it, as base/user_namespace.h has them
  std::string gid_map = {};
  uint32_t root_uid = 0;  // the host's user that is root in it
  std::string net = {};
  std::string ipc = {};
  std::string uts = {};
  std::string hostname = {};                        // set within a new uts namespace
  std::map<std::string, std::string> sysctls = {};  // "net.ipv4.ip_forward" -> "1", written inside
};

// Makes all of them. On failure nothing stays pinned. The parent directories exist. A sysctl that
// the kernel refuses is InvalidArgument naming it; so are maps that it refuses. IDs in sysctls are
// the host's.
absl::Status PinNamespaces(const PinnedNamespaces& what);

// Unmounts and unlinks a pin file; missing or not mounted is success.
absl::Status UnpinNamespace(const std::string& path);
// True if the file is a live namespace pin (nsfs).
bool IsNamespacePin(const std::string& path);

// Runs `body` on a thread made for it and waits: its namespaces end with it.
absl::Status OnThrowawayThread(const std::function<absl::Status()>& body);

// Runs `body` on a new thread inside the network namespace and waits for it.
absl::Status RunInNetNs(const std::string& pin_path, const std::function<absl::Status()>& body);

}  // namespace davit
