// SPDX-License-Identifier: Apache-2.0
//
// Which SELinux labels pods and containers get (docs/security.md has the rules). Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "server/api/api.pb.h"
#include "server/selinux/levels.h"
#include "server/selinux/policy.h"

namespace davit::server::selinux {

struct Labels {
  std::string process;
  std::string init;   // instead, where the container's program is an init system
  std::string mount;  // of the root file system, of what is made for it and of relabelled volumes
  bool confined = true;  // false: its type may touch every file, none has to be relabelled for it
};

class Labeller {
 public:
  struct Settings {
    unsigned category_range = 1024;
    bool confine_host_network = false;
  };

  // As Policy::Load.
  static absl::StatusOr<std::unique_ptr<Labeller>> Create(const Roots& roots,
                                                          const Settings& settings);
  Labeller(Policy policy, const Settings& settings);
  Labeller(const Labeller&) = delete;
  Labeller& operator=(const Labeller&) = delete;

  // The level that a new pod asks for, else one of its own; for its record.
  absl::StatusOr<std::string> ReserveLevel(const runtime::v1::PodSandboxConfig& pod);
  // Of a pod that is on record. "" is none.
  void KeepLevel(const std::string& level);
  void ReleaseLevel(const std::string& level);

  // Of the pod's own files. InvalidArgument for options that no label can have.
  [[nodiscard]] absl::StatusOr<Labels> OfPod(const runtime::v1::PodSandboxConfig& pod,
                                             const std::string& level) const;
  // `is_vm`: the runtime handler runs containers in virtual machines.
  [[nodiscard]] absl::StatusOr<Labels> OfContainer(const runtime::v1::PodSandboxConfig& pod,
                                                   const runtime::v1::ContainerConfig& container,
                                                   const std::string& level, bool is_vm) const;

  // Of images that are mounted as volumes, for containers of all pods.
  [[nodiscard]] std::string ImageVolumeLabel() const;

 private:
  struct Request;
  [[nodiscard]] absl::StatusOr<Labels> Compute(const Request& request) const;

  const Policy policy_;
  const Settings settings_;
  Levels levels_;
};

}  // namespace davit::server::selinux
