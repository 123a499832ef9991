// SPDX-License-Identifier: Apache-2.0
//
// The only place that builds paths of pods and containers (storage/paths.h has those of images and
// layers). Everything here lives under the run directory and is gone after a reboot:
//
//   <run>/davit.sock  lock
//   <run>/sandboxes/<id>/{user,net,ipc,uts,pid}   namespace pins
//                        {resolv.conf,hostname,hosts}  shm/ (tmpfs)  sys/
//   <run>/containers/<id>/{bundle/config.json,rootfs/,pid,exit,ctl,exec/,mounts/,seccomp,sc}
//   <run>/runtime/<handler>/                   state of the OCI runtime
#pragma once

#include <string>

namespace davit::server {

class Paths {
 public:
  explicit Paths(std::string run) : run_(std::move(run)) {}

  [[nodiscard]] std::string Lock() const { return run_ + "/lock"; }
  [[nodiscard]] std::string Sandboxes() const { return run_ + "/sandboxes"; }
  [[nodiscard]] std::string Containers() const { return run_ + "/containers"; }
  [[nodiscard]] std::string Sandbox(const std::string& id) const { return Sandboxes() + "/" + id; }
  // kind: user, net, ipc, uts, pid
  [[nodiscard]] std::string Pin(const std::string& id, const std::string& kind) const {
    return Sandbox(id) + "/" + kind;
  }
  [[nodiscard]] std::string ResolvConf(const std::string& id) const {
    return Sandbox(id) + "/resolv.conf";
  }
  [[nodiscard]] std::string Hostname(const std::string& id) const {
    return Sandbox(id) + "/hostname";
  }
  [[nodiscard]] std::string Hosts(const std::string& id) const { return Sandbox(id) + "/hosts"; }
  [[nodiscard]] std::string Shm(const std::string& id) const { return Sandbox(id) + "/shm"; }
  // A read-only copy of the host's /sys, for a pod that can have no other.
  [[nodiscard]] std::string HostSys(const std::string& id) const { return Sandbox(id) + "/sys"; }
  [[nodiscard]] std::string Container(const std::string& id) const {
    return Containers() + "/" + id;
  }
  [[nodiscard]] std::string Bundle(const std::string& id) const {
    return Container(id) + "/bundle";
  }
  [[nodiscard]] std::string SpecFile(const std::string& id) const {
    return Bundle(id) + "/config.json";
  }
  // A container that joins another's PID namespace pins it here.
  [[nodiscard]] std::string TargetPid(const std::string& id) const {
    return Container(id) + "/pidns";
  }
  // Copies of the request's mounts that Davit makes, by their index.
  [[nodiscard]] std::string OwnMounts(const std::string& id) const {
    return Container(id) + "/mounts";
  }
  // The monitor's, for its whole life (conmon/protocol.h); only where the profile is watched.
  [[nodiscard]] std::string SeccompCalls(const std::string& id) const {
    return Container(id) + "/seccomp";
  }
  [[nodiscard]] std::string SeccompSocket(const std::string& id) const {
    return Container(id) + "/sc";
  }
  [[nodiscard]] std::string ExecScratch(const std::string& id) const {
    return Container(id) + "/exec";
  }
  [[nodiscard]] std::string RuntimeRoot(const std::string& handler) const {
    return run_ + "/runtime/" + handler;
  }

 private:
  std::string run_;
};

}  // namespace davit::server
