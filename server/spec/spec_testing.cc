// SPDX-License-Identifier: Apache-2.0
#include "server/spec/spec_testing.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"

namespace davit::server::spec {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "davit-spec-XXXXXX").string();
  path_ = mkdtemp(pattern.data()) == nullptr ? "" : pattern;
}

TempDir::~TempDir() {
  const absl::Status removed = RemoveTree(path_);
  EXPECT_TRUE(removed.ok()) << Text(removed);
}

std::string TempDir::Write(const std::string& name, const std::string& text) const {
  const std::string path = JoinPath(path_, name);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string TempDir::MakeDir(const std::string& name) const {
  const std::string path = JoinPath(path_, name);
  std::filesystem::create_directories(path);
  return path;
}

TestRequest::TestRequest() {
  sandbox.mutable_metadata()->set_name("pod");
  sandbox.mutable_metadata()->set_namespace_("ns");
  sandbox.mutable_metadata()->set_uid("pod-uid");
  container.mutable_metadata()->set_name("web");
  container.mutable_image()->set_image("example.test/web:1");
  image.entrypoint = {"/entry"};
  image.cmd = {"cmd"};
  own_capabilities = {"CAP_CHOWN",   "CAP_KILL",      "CAP_NET_ADMIN",
                      "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"};
  root_fd = UniqueFd(open(root.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  sys_root = root.MakeDir(".sys");
}

SpecInput TestRequest::Input() {
  SpecInput input{.sandbox = sandbox, .container = container, .image = image, .node = node};
  input.host = host;
  input.container_id = "c1";
  input.sandbox_id = "s1";
  input.rootfs = rootfs;
  input.root_fd = root_fd.get();
  input.namespaces = namespaces;
  input.resolv_conf = resolv_conf;
  input.hostname_file = hostname_file;
  input.image_volumes = image_volumes;
  input.mount_sources = mount_sources;
  input.own_mounts = own_mounts;
  input.host_sys = host_sys;
  input.declared_volumes = declared_volumes;
  input.hosts_file = hosts_file;
  input.hostname = hostname;
  input.shm = shm;
  input.cgroup = cgroup;
  input.cgroup_v2 = cgroup_v2;
  input.own_capabilities = own_capabilities;
  input.lowest_oom_score_adj = lowest_oom_score_adj;
  input.privileged_without_host_devices = privileged_without_host_devices;
  input.recursive_read_only_mounts = recursive_read_only_mounts;
  input.allowed_annotations = allowed_annotations;
  input.seccomp_listener = seccomp_listener;
  input.selinux = selinux;
  input.selinux_is_on = selinux_is_on;
  input.sys_root = sys_root;
  return input;
}

Json TestRequest::Config() {
  const absl::StatusOr<SpecOutput> output = BuildSpec(Input());
  EXPECT_TRUE(output.ok()) << Text(output.status());
  return output.ok() ? Json::parse(output->config_json) : Json();
}

absl::Status TestRequest::Error() {
  const absl::StatusOr<SpecOutput> output = BuildSpec(Input());
  EXPECT_FALSE(output.ok()) << output->config_json;
  return output.status();
}

void TestRequest::MakePrivileged() {
  Context().set_privileged(true);
  sandbox.mutable_linux()->mutable_security_context()->set_privileged(true);
}

std::string Text(const absl::Status& status) {
  return absl::StatusCodeToString(status.code()) + ": " + Message(status);
}

Json FindBy(const Json& list, const char* key, const std::string& value) {
  for (const Json& entry : list) {
    if (JsonString(entry, key) == value) {
      return entry;
    }
  }
  return Json();
}

bool HasString(const Json& list, const std::string& value) {
  return std::find(list.begin(), list.end(), Json(value)) != list.end();
}

}  // namespace davit::server::spec
