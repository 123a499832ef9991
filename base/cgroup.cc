// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <set>
#include <string_view>

#include "base/file.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr std::array<std::string_view, 13> kV1Controllers = {
    "blkio",  "cpu",     "cpuacct",  "cpuset",     "devices", "freezer", "hugetlb",
    "memory", "net_cls", "net_prio", "perf_event", "pids",    "rdma"};
constexpr const char* kUsualPlace = "/sys/fs/cgroup";

bool IsV1Controller(const std::string& name) {
  return std::find(kV1Controllers.begin(), kV1Controllers.end(), name) != kV1Controllers.end();
}

std::vector<std::string> ControllersFile(const std::string& dir) {
  const auto text = ReadFile(JoinPath(dir, "cgroup.controllers"), 4096);
  return text.ok() ? Words(*text) : std::vector<std::string>();
}

// A cgroup path comes from the kubelet: it names a place below the root, without tricks.
absl::Status CheckPath(const std::string& cgroup) {
  bool sound = cgroup.size() > 1 && cgroup.front() == '/' && cgroup.find('\0') == std::string::npos;
  for (const std::string& part : Split(std::string_view(cgroup).substr(sound ? 1 : 0), '/')) {
    sound = sound && !part.empty() && part != "." && part != "..";
  }
  if (!sound) {
    return InvalidArgument("cgroup '{}' is not an absolute path below the root",
                           Printable(cgroup, 300));
  }
  return absl::OkStatus();
}

// Every prefix of "/a/b/c": "/a", "/a/b", "/a/b/c".
std::vector<std::string> Prefixes(const std::string& cgroup) {
  std::vector<std::string> prefixes;
  for (size_t end = cgroup.find('/', 1); end != std::string::npos;
       end = cgroup.find('/', end + 1)) {
    prefixes.push_back(cgroup.substr(0, end));
  }
  prefixes.push_back(cgroup);
  return prefixes;
}

// v1: a new cpuset has no CPUs and no memory, and takes no process before it has.
absl::Status InheritCpuset(const std::string& dir, const std::string& parent) {
  for (const char* const file : {"cpuset.cpus", "cpuset.mems"}) {
    const auto own = ReadFile(JoinPath(dir, file));
    if (!own.ok() || !Trim(*own).empty()) {
      continue;  // no cpuset, or cgroup.clone_children has filled it
    }
    ASSIGN_OR_RETURN(const std::string inherited, ReadFile(JoinPath(parent, file)));
    RETURN_IF_ERROR(WriteExisting(JoinPath(dir, file), Trim(inherited)));
  }
  return absl::OkStatus();
}

// v2: lets the children of `dir` have the controllers that it has itself.
absl::Status EnableForChildren(const std::string& dir) {
  const std::vector<std::string> available = ControllersFile(dir);
  const std::string file = JoinPath(dir, "cgroup.subtree_control");
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, 4096));
  const std::vector<std::string> enabled = Words(text);
  for (const std::string& controller : available) {
    if (std::find(enabled.begin(), enabled.end(), controller) != enabled.end()) {
      continue;
    }
    // One at a time: one that the kernel refuses now (cpu, while a realtime process runs) must not
    // keep the others away.
    const absl::Status status = WriteExisting(file, "+" + controller);
    const bool needed = controller == "cpu" || controller == "memory" || controller == "pids";
    if (!status.ok() && needed) {
      return Annotate(status, fmt::format("enable controller {} below {} (a cgroup with processes "
                                          "of its own cannot have controlled children)",
                                          controller, dir));
    }
  }
  return absl::OkStatus();
}

}  // namespace

namespace internal {

absl::Status CheckCgroupPath(const std::string& cgroup) {
  return CheckPath(cgroup);
}

}  // namespace internal

std::string CgroupModeName(CgroupMode mode) {
  switch (mode) {
    case CgroupMode::kV1:
      return "v1";
    case CgroupMode::kHybrid:
      return "hybrid";
    case CgroupMode::kV2:
      break;
  }
  return "v2";
}

absl::StatusOr<CgroupFs> CgroupFs::Detect() {
  ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, ListMounts());
  return FromMounts(mounts);
}

absl::StatusOr<CgroupFs> CgroupFs::FromMounts(const std::vector<MountEntry>& mounts) {
  CgroupFs fs;
  std::string unified;
  // Mounts elsewhere (a container's view of its own part) count only if the usual place has none.
  for (const bool usual : {true, false}) {
    for (const MountEntry& mount : mounts) {
      if (mount.target.starts_with(kUsualPlace) != usual) {
        continue;
      }
      if (mount.filesystem == "cgroup2" && unified.empty()) {
        unified = mount.target;
      } else if (mount.filesystem == "cgroup") {
        bool has_controller = false;
        for (const std::string& option : Split(mount.super_options, ',')) {
          if (IsV1Controller(option)) {
            has_controller = true;
            fs.dirs_.emplace(option, mount.target);
          }
        }
        if (!has_controller) {
          fs.bare_dirs_.insert(mount.target);
        }
      }
    }
  }
  if (!fs.dirs_.empty()) {
    fs.mode_ = unified.empty() ? CgroupMode::kV1 : CgroupMode::kHybrid;
    if (!unified.empty()) {
      fs.v2_on_hybrid_ = ControllersFile(unified);
      fs.bare_dirs_.insert(unified);
    }
    return fs;
  }
  if (unified.empty()) {
    return FailedPrecondition("no cgroup file system is mounted; mount cgroup2 at {}", kUsualPlace);
  }
  fs.mode_ = CgroupMode::kV2;
  fs.dirs_.emplace("", unified);
  fs.v2_controllers_ = ControllersFile(unified);
  return fs;
}

CgroupFs CgroupFs::ForTest(CgroupMode mode, std::map<std::string, std::string> controller_dirs) {
  CgroupFs fs;
  fs.mode_ = mode;
  fs.dirs_ = std::move(controller_dirs);
  if (mode == CgroupMode::kV2) {
    fs.v2_controllers_ = ControllersFile(fs.dirs_[""]);
  }
  return fs;
}

std::vector<std::string> CgroupFs::controllers() const {
  if (mode_ == CgroupMode::kV2) {
    return v2_controllers_;
  }
  std::vector<std::string> names;
  for (const auto& [name, dir] : dirs_) {
    names.push_back(name);
  }
  return names;
}

bool CgroupFs::has(const std::string& controller) const {
  if (mode_ == CgroupMode::kV2) {
    return std::find(v2_controllers_.begin(), v2_controllers_.end(), controller) !=
           v2_controllers_.end();
  }
  return dirs_.contains(controller);
}

std::string CgroupFs::Dir(const std::string& controller, const std::string& cgroup) const {
  const auto it = dirs_.find(mode_ == CgroupMode::kV2 ? "" : controller);
  return it == dirs_.end() ? "" : JoinPath(it->second, cgroup);
}

std::set<std::string> CgroupFs::Hierarchies() const {
  std::set<std::string> hierarchies;
  for (const auto& [controller, dir] : dirs_) {
    hierarchies.insert(dir);  // "cpu,cpuacct" is often one
  }
  return hierarchies;
}

absl::Status CgroupFs::CreateIn(const std::string& hierarchy, const std::string& cgroup,
                                std::vector<std::string>& made) const {
  std::string parent = hierarchy;
  for (const std::string& prefix : Prefixes(cgroup)) {
    if (mode_ == CgroupMode::kV2) {
      RETURN_IF_ERROR(EnableForChildren(parent));
    }
    std::string dir = JoinPath(hierarchy, prefix);
    if (mkdir(dir.c_str(), 0755) == 0) {
      made.push_back(dir);
    } else if (errno != EEXIST) {
      return ErrnoStatus(errno, "make cgroup " + dir);
    }
    if (mode_ != CgroupMode::kV2) {
      RETURN_IF_ERROR(InheritCpuset(dir, parent));
    }
    parent = std::move(dir);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> CgroupFs::Create(const std::string& cgroup) const {
  RETURN_IF_ERROR(CheckPath(cgroup));
  std::vector<std::string> made;
  for (const std::string& hierarchy : Hierarchies()) {
    if (absl::Status status = CreateIn(hierarchy, cgroup, made); !status.ok()) {
      for (auto dir = made.rbegin(); dir != made.rend(); ++dir) {
        rmdir(dir->c_str());
      }
      return status;
    }
  }
  return std::any_of(made.begin(), made.end(),
                     [&](const std::string& dir) { return dir.ends_with(cgroup); });
}

bool CgroupFs::Exists(const std::string& cgroup) const {
  const std::set<std::string> hierarchies = Hierarchies();
  return std::any_of(hierarchies.begin(), hierarchies.end(), [&](const std::string& hierarchy) {
    return PathExists(JoinPath(hierarchy, cgroup));
  });
}

absl::StatusOr<std::string> CgroupFs::FilePath(const std::string& controller,
                                               const std::string& cgroup,
                                               const std::string& file) const {
  const std::string dir = Dir(controller, cgroup);
  if (dir.empty()) {
    return NotFound("cgroup controller {} is not available on this host", controller);
  }
  if (cgroup != "/") {
    RETURN_IF_ERROR(CheckPath(cgroup));
  }
  if (file.empty() || file.find('/') != std::string::npos || file == "..") {
    return InvalidArgument("cgroup file '{}' is not a file name", Printable(file, 100));
  }
  return JoinPath(dir, file);
}

absl::StatusOr<std::string> CgroupFs::Read(const std::string& controller, const std::string& cgroup,
                                           const std::string& file) const {
  ASSIGN_OR_RETURN(const std::string path, FilePath(controller, cgroup, file));
  return ReadFile(path);
}

absl::Status CgroupFs::Write(const std::string& controller, const std::string& cgroup,
                             const std::string& file, const std::string& value) const {
  ASSIGN_OR_RETURN(const std::string path, FilePath(controller, cgroup, file));
  return Annotate(WriteExisting(path, value), "set '" + Printable(value, 200) + "'");
}

}  // namespace davit
