// SPDX-License-Identifier: Apache-2.0
//
// Fixtures of this folder's tests: a request that BuildSpec accepts, to be bent by each test, and a
// directory of the test's own.
#pragma once

#include <string>

#include "base/fd.h"
#include "server/spec/sections.h"

namespace davit::server::spec {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  // Writes a file beneath it, with the directories that it needs; returns its host path.
  std::string Write(const std::string& name, const std::string& text) const;
  std::string MakeDir(const std::string& name) const;

 private:
  std::string path_;
};

// The members are what a test changes before it builds. The image's root is `root`.
struct TestRequest {
  TestRequest();

  SpecInput Input();
  // Each checks that the build succeeds.
  Json Config();
  Json Process() { return Config()["process"]; }
  // Each checks that the build fails.
  absl::Status Error();

  runtime::v1::LinuxContainerSecurityContext& Context() {
    return *container.mutable_linux()->mutable_security_context();
  }
  void MakePrivileged();

  TempDir root;
  UniqueFd root_fd;
  runtime::v1::PodSandboxConfig sandbox;
  runtime::v1::ContainerConfig container;
  image::ImageConfig image;
  config::Runtime node;
  HostSettings host = {.cdi_dirs = {}, .hooks_dirs = {}};
  std::set<std::string> own_capabilities;
  NamespacePaths namespaces;
  std::string shm;
  std::string resolv_conf;
  std::string hosts_file;
  std::string hostname_file;
  std::map<int, std::string> image_volumes;
  std::map<int, std::string> mount_sources;
  std::map<int, std::string> own_mounts;
  std::string host_sys;
  std::map<std::string, std::string> declared_volumes;
  std::string hostname = "pod-host";
  std::string rootfs = "/rootfs";
  std::string cgroup = "/davit-test/c1";
  bool cgroup_v2 = false;
  int lowest_oom_score_adj = -1000;
  bool privileged_without_host_devices = true;
  bool recursive_read_only_mounts = false;
  std::vector<std::string> allowed_annotations;
  std::string seccomp_listener;
  SelinuxLabels selinux;
  bool selinux_is_on = false;
  std::string sys_root;  // a directory without anything in it
};

// "CODE: message", for comparisons that show both.
std::string Text(const absl::Status& status);

// The entry of a list of objects whose `key` is `value`; null if there is none.
Json FindBy(const Json& list, const char* key, const std::string& value);
bool HasString(const Json& list, const std::string& value);

}  // namespace davit::server::spec
