// SPDX-License-Identifier: Apache-2.0
//
// The cgroup file systems of this host: v1, hybrid or v2, and reading and writing of their files.
// Paths are cgroup paths ("/kubepods/pod1/abc"), never host paths. On v1 one path stands in every
// controller's hierarchy.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace davit {

struct MountEntry;

enum class CgroupMode { kV1, kHybrid, kV2 };
std::string CgroupModeName(CgroupMode mode);

class CgroupFs {
 public:
  // Looks at the mounts. The paths are those of the hierarchies' roots, wherever the daemon itself
  // is.
  static absl::StatusOr<CgroupFs> Detect();
  static absl::StatusOr<CgroupFs> FromMounts(const std::vector<MountEntry>& mounts);
  static CgroupFs ForTest(CgroupMode mode, std::map<std::string, std::string> controller_dirs);

  [[nodiscard]] CgroupMode mode() const { return mode_; }
  // Controllers usable for containers: "cpu", "memory", …
  [[nodiscard]] std::vector<std::string> controllers() const;
  [[nodiscard]] bool has(const std::string& controller) const;
  // Controllers that the v2 hierarchy of a hybrid host owns (crun 1.8 refuses such a host).
  [[nodiscard]] const std::vector<std::string>& v2_controllers_on_hybrid() const {
    return v2_on_hybrid_;
  }

  // Host directory of a cgroup in a controller's hierarchy (v2: the one hierarchy).
  [[nodiscard]] std::string Dir(const std::string& controller, const std::string& cgroup) const;

  // mkdir in every hierarchy; v2: also enables the controllers in the parents' subtree_control.
  // Returns whether it was made here (false: it was there in all).
  [[nodiscard]] absl::StatusOr<bool> Create(const std::string& cgroup) const;
  // Moves a process into it, in every hierarchy. NotFound if there is no such cgroup or process.
  [[nodiscard]] absl::Status Attach(const std::string& cgroup, int pid) const;
  // rmdir of the cgroup and its (empty) descendants in every hierarchy; missing is success; EBUSY
  // is retried for about a second.
  [[nodiscard]] absl::Status Remove(const std::string& cgroup) const;
  [[nodiscard]] bool Exists(const std::string& cgroup) const;
  // Processes in the cgroup and below.
  [[nodiscard]] absl::StatusOr<std::vector<int>> Pids(const std::string& cgroup) const;
  // SIGKILL to all of them (cgroup.kill on v2, else signals until empty, five seconds at most). A
  // missing cgroup is success.
  [[nodiscard]] absl::Status KillAll(const std::string& cgroup) const;

  [[nodiscard]] absl::StatusOr<std::string> Read(const std::string& controller,
                                                 const std::string& cgroup,
                                                 const std::string& file) const;
  [[nodiscard]] absl::Status Write(const std::string& controller, const std::string& cgroup,
                                   const std::string& file, const std::string& value) const;

 private:
  [[nodiscard]] std::set<std::string> Hierarchies() const;
  [[nodiscard]] absl::StatusOr<std::string> FilePath(const std::string& controller,
                                                     const std::string& cgroup,
                                                     const std::string& file) const;
  // Appends the host directories that were not there before.
  absl::Status CreateIn(const std::string& hierarchy, const std::string& cgroup,
                        std::vector<std::string>& made) const;
  // One round of SIGKILL; how many processes were there.
  [[nodiscard]] absl::StatusOr<size_t> SignalAll(const std::string& cgroup) const;
  // v1: a frozen process does not die.
  void Thaw(const std::string& cgroup) const;

  CgroupMode mode_ = CgroupMode::kV2;
  std::map<std::string, std::string> dirs_;  // controller -> mount point; v2: "" -> mount point
  // Hierarchies without a controller of ours (named ones; v2 on a hybrid host). OCI runtimes make
  // the container's cgroup there too, and leave its parents.
  std::set<std::string> bare_dirs_;
  std::vector<std::string> v2_controllers_;
  std::vector<std::string> v2_on_hybrid_;
};

namespace internal {
// InvalidArgument unless it is an absolute path below the root without "." and "..".
absl::Status CheckCgroupPath(const std::string& cgroup);
}  // namespace internal

// What the kernel counts for a cgroup, read at one moment.
struct CgroupStats {
  int64_t timestamp_ns = 0;
  uint64_t cpu_usage_ns = 0;
  uint64_t memory_usage = 0;
  uint64_t memory_working_set = 0;  // usage - inactive file, not below 0
  uint64_t memory_rss = 0;
  uint64_t memory_page_faults = 0;
  uint64_t memory_major_page_faults = 0;
  std::optional<uint64_t> memory_limit;  // none: unlimited
  uint64_t swap_usage = 0;
  std::optional<uint64_t> swap_limit;
  uint64_t pids = 0;
};
// NotFound if the cgroup is gone. Controllers that are absent leave zeros.
absl::StatusOr<CgroupStats> ReadCgroupStats(const CgroupFs& fs, const std::string& cgroup);

}  // namespace davit
