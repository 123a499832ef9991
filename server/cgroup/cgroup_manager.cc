// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/cgroup_manager.h"

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server {
namespace {

bool HasControlCharacter(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      return true;
    }
  }
  return false;
}

// "a//b/" -> "/a/b". The root cgroup, "." and ".." are refused.
absl::StatusOr<std::string> Normalize(const std::string& parent) {
  std::string path;
  for (const auto& part : Split(parent, '/')) {
    if (part.empty()) {
      continue;
    }
    if (part == "." || part == ".." || HasControlCharacter(part)) {
      return InvalidArgument("cgroup parent {} is not a plain path: {} is not allowed in it",
                             Printable(parent), Printable(part));
    }
    path += "/" + part;
  }
  if (path.empty()) {
    return InvalidArgument("cgroup parent {} names the root cgroup, which holds no pods",
                           Printable(parent));
  }
  return path;
}

class CgroupfsManager final : public CgroupManager {
 public:
  explicit CgroupfsManager(const CgroupFs& fs) : fs_(fs) {}

  absl::StatusOr<std::string> PodCgroup(const std::string& requested,
                                        const std::string& default_parent,
                                        const std::string& sandbox_id) const override {
    if (!requested.empty()) {
      return Normalize(requested);
    }
    ASSIGN_OR_RETURN(const std::string parent, Normalize(default_parent));
    return JoinPath(parent, "pod" + sandbox_id);
  }

  std::string ContainerCgroup(const std::string& pod_cgroup,
                              const std::string& container_id) const override {
    return JoinPath(pod_cgroup, container_id);
  }

  bool Exists(const std::string& cgroup) const override { return fs_.Exists(cgroup); }
  absl::Status Create(const std::string& cgroup) const override {
    return fs_.Create(cgroup).status();
  }
  absl::Status Remove(const std::string& cgroup) const override { return fs_.Remove(cgroup); }
  absl::Status KillAll(const std::string& cgroup) const override {
    const absl::Status status = fs_.KillAll(cgroup);
    return absl::IsNotFound(status) ? absl::OkStatus() : status;
  }

 private:
  const CgroupFs& fs_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CgroupManager>> CgroupManager::Create(const std::string& name,
                                                                     const CgroupFs& fs) {
  if (name == "cgroupfs") {
    return std::make_unique<CgroupfsManager>(fs);
  }
  if (name == "systemd") {
    return FailedPrecondition(
        "runtime.cgroup_manager is systemd, which this version of davit does not have yet: set it "
        "to cgroupfs, and cgroupDriver of the kubelet with it");
  }
  return InvalidArgument("runtime.cgroup_manager is {}, known are cgroupfs and systemd",
                         Printable(name));
}

}  // namespace davit::server
