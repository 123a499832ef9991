// SPDX-License-Identifier: Apache-2.0
#include "server/oci/runtime_mounts.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/mount.h"
#include "base/mount_namespace.h"
#include "base/mount_tree.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::oci {
namespace {

constexpr size_t kMaxConfig = 16U << 20U;

// True for the directory itself, too.
bool IsBelow(const std::string& path, const std::string& directory) {
  return directory == "/" || path == directory || path.starts_with(directory + "/");
}

// A program's libraries, its configuration, the sockets of systemd.
std::vector<std::string> WithBaseSystem(std::vector<std::string> paths) {
  for (const char* path : {"/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/bin", "/usr/sbin",
                           "/lib", "/lib64", "/bin", "/sbin", "/etc", "/run/systemd", "/tmp"}) {
    paths.emplace_back(path);
  }
  return paths;
}

bool IsNeeded(const MountEntry& mount, const std::vector<std::string>& paths) {
  if (mount.filesystem == "autofs") {  // looking at it would mount what is behind it
    return false;
  }
  for (const char* kernel : {"/proc", "/sys", "/dev"}) {
    if (IsBelow(mount.target, kernel)) {
      return true;
    }
  }
  return std::any_of(paths.begin(), paths.end(),
                     [&](const std::string& path) { return IsBelow(path, mount.target); });
}

// In the order of the list, in which each comes after what it lies on.
std::vector<std::string> NeededTargets(const std::vector<MountEntry>& mounts,
                                       const std::vector<std::string>& paths) {
  std::vector<std::string> targets = {"/"};
  for (const MountEntry& mount : mounts) {
    const bool known = std::find(targets.begin(), targets.end(), mount.target) !=
                       targets.end();  // one over another
    if (!known && IsNeeded(mount, paths)) {
      targets.push_back(mount.target);
    }
  }
  return targets;
}

bool HasHooks(const nlohmann::json& config) {
  const nlohmann::json& hooks = JsonChild(config, "hooks");
  return std::any_of(hooks.begin(), hooks.end(), [](const auto& kind) { return !kind.empty(); });
}

bool IsBind(const nlohmann::json& mount) {
  const nlohmann::json& options = JsonChild(mount, "options");
  return JsonString(mount, "type") == "bind" ||
         std::any_of(options.begin(), options.end(),
                     [](const auto& option) { return option == "bind" || option == "rbind"; });
}

// Sorted: a directory before what is in it.
absl::StatusOr<std::set<std::string>> BoundSources(const nlohmann::json& config) {
  std::set<std::string> sources;
  for (const nlohmann::json& mount : JsonChild(config, "mounts")) {
    if (!IsBind(mount)) {
      continue;
    }
    const std::string source = JsonString(mount, "source");
    std::error_code error;
    // Where a symlink leads is looked up by the runtime, where it may lead elsewhere.
    if (std::filesystem::canonical(source, error) != source) {
      return FailedPrecondition("{} is not there, or goes through a symlink", Printable(source));
    }
    sources.insert(source);
  }
  return sources;
}

// All namespaces that are joined are pinned in these directories, or the kernel's.
absl::Status CheckPaths(const nlohmann::json& config, const std::vector<std::string>& own) {
  std::vector<std::string> paths = {JsonString(JsonChild(config, "root"), "path")};
  for (const nlohmann::json& space : JsonChild(JsonChild(config, "linux"), "namespaces")) {
    paths.push_back(JsonString(space, "path", "/proc"));
  }
  for (const std::string& path : paths) {
    if (!IsBelow(path, "/proc") && std::none_of(own.begin(), own.end(), [&](const auto& directory) {
          return IsBelow(path, directory);
        })) {
      return FailedPrecondition("{} is a path of the node", Printable(path));
    }
  }
  return absl::OkStatus();
}

// The trees to attach: none lies in another, which brings it along, and would pass on to the node
// what is attached there.
absl::StatusOr<std::vector<std::string>> Trees(const std::set<std::string>& sources,
                                               const std::vector<std::string>& own) {
  std::vector<std::string> trees = own;
  for (const std::string& source : sources) {
    if (std::any_of(own.begin(), own.end(),
                    [&](const auto& directory) { return IsBelow(directory, source); })) {
      return FailedPrecondition("{} holds the directories of the container", Printable(source));
    }
    if (std::none_of(trees.begin(), trees.end(),
                     [&](const auto& tree) { return IsBelow(source, tree); })) {
      trees.push_back(source);
    }
  }
  return trees;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RuntimeMounts>> RuntimeMounts::Create(
    const std::vector<std::string>& paths) {
  ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, ListMounts());
  ASSIGN_OR_RETURN(UniqueFd lean, MakeMountNamespace(NeededTargets(mounts, WithBaseSystem(paths))));
  return std::shared_ptr<const RuntimeMounts>(new RuntimeMounts(std::move(lean)));
}

absl::StatusOr<UniqueFd> RuntimeMounts::ForContainer(
    const std::vector<std::string>& own_directories, const std::string& config_file) const {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(config_file, kMaxConfig));
  ASSIGN_OR_RETURN(const nlohmann::json config, ParseJson(text, config_file));
  if (HasHooks(config)) {
    return FailedPrecondition("it has OCI hooks");
  }
  RETURN_IF_ERROR(CheckPaths(config, own_directories));
  ASSIGN_OR_RETURN(const std::set<std::string> sources, BoundSources(config));
  ASSIGN_OR_RETURN(const std::vector<std::string> targets, Trees(sources, own_directories));
  std::vector<PlacedTree> trees;
  for (const std::string& target : targets) {
    ASSIGN_OR_RETURN(UniqueFd tree, CopyMountTree(target, {.peer = true}));
    trees.push_back({.tree = std::move(tree), .target = target});
  }
  return ExtendMountNamespace(lean(), trees);
}

}  // namespace davit::server::oci
