// SPDX-License-Identifier: Apache-2.0
#include "server/user_namespaces.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "base/idmapped_mount.h"
#include "base/status.h"
#include "base/user_namespace.h"
#include "server/paths.h"

namespace davit::server {
namespace {

// The kubelet's ranges have this many.
constexpr char kUsualMap[] = "0 65536 65536\n";
constexpr mode_t kPassable = 0711;

absl::Status MakePassable(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirs(directory, kPassable));
  struct stat st = {};
  if (stat(directory.c_str(), &st) != 0 ||
      chmod(directory.c_str(), (st.st_mode & 07777U) | 0111U) != 0) {
    return ErrnoStatus(errno, "let user namespaces pass " + directory);
  }
  return absl::OkStatus();
}

absl::Status CheckWayTo(const std::string& directory) {
  for (auto path = std::filesystem::path(directory); path.has_relative_path();) {
    path = path.parent_path();
    struct stat st = {};
    if (stat(path.c_str(), &st) != 0) {
      return ErrnoStatus(errno, "stat " + path.string());
    }
    if ((st.st_mode & S_IXOTH) == 0) {
      return FailedPrecondition(
          "the root of a user namespace cannot pass {} on the way to its containers' root file "
          "systems; run `chmod o+x {}`, or set storage.run",
          path.string(), path.string());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ProbeUserNamespaces(const std::string& run) {
  ASSIGN_OR_RETURN(const UniqueFd ns, MakeUserNamespace(kUsualMap, kUsualMap));
  RETURN_IF_ERROR(IdmappedMount(run, ns.get()).status());
  RETURN_IF_ERROR(CheckWayTo(run));
  RETURN_IF_ERROR(MakePassable(run));
  return MakePassable(Paths(run).Containers());
}

absl::Status UserNamespacesOf(const Node& node, const std::string& handler) {
  ASSIGN_OR_RETURN(const auto runtime, node.runtimes.Find(handler));
  if (!node.user_namespaces.ok()) {
    return FailedPrecondition("user namespaces of pods cannot be had on this node: {}",
                              Message(node.user_namespaces));
  }
  if (!runtime->features().user_namespaces) {
    return FailedPrecondition(
        "runtime handler '{}' does not say that it can run containers in user namespaces (\"user\" "
        "among linux.namespaces of `{} features`)",
        runtime->name(), runtime->path());
  }
  return absl::OkStatus();
}

}  // namespace davit::server
