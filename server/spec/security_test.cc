// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

class SecurityTest : public testing::Test {
 protected:
  std::string Error() { return Text(request_.Error()); }

  TestRequest request_;
};

TEST_F(SecurityTest, PathListsAsGiven) {
  EXPECT_TRUE(request_.Config()["linux"]["maskedPaths"].empty());
  request_.Context().add_masked_paths("/proc/kcore");
  request_.Context().add_readonly_paths("/proc/sys/");
  const Json section = request_.Config()["linux"];
  EXPECT_EQ(section["maskedPaths"], Json({"/proc/kcore"}));
  EXPECT_EQ(section["readonlyPaths"], Json({"/proc/sys"}));
  request_.MakePrivileged();
  EXPECT_TRUE(request_.Config()["linux"]["maskedPaths"].empty());
  EXPECT_TRUE(request_.Config()["linux"]["readonlyPaths"].empty());
}

TEST_F(SecurityTest, RefusesBadPathLists) {
  request_.Context().add_masked_paths("proc/kcore");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: masked_paths", 0), 0U);
  request_.Context().clear_masked_paths();
  request_.Context().add_readonly_paths("/a/../b");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: readonly_paths", 0), 0U);
}

TEST_F(SecurityTest, ReadonlyRoot) {
  EXPECT_EQ(request_.Config()["root"], Json({{"path", "/rootfs"}, {"readonly", false}}));
  request_.Context().set_readonly_rootfs(true);
  EXPECT_EQ(request_.Config()["root"]["readonly"], true);
}

TEST_F(SecurityTest, PrivilegedNeedsAPrivilegedSandbox) {
  request_.Context().set_privileged(true);
  EXPECT_EQ(Error().rfind("FAILED_PRECONDITION: container web: privileged", 0), 0U) << Error();
}

TEST_F(SecurityTest, SelinuxLabels) {
  request_.root.Write(".sys/fs/selinux/enforce", "1");
  request_.selinux_is_on = true;
  request_.Context().mutable_selinux_options()->set_level("s0:c1,c2");
  runtime::v1::Mount& mount = *request_.container.add_mounts();
  mount.set_container_path("/data");
  mount.set_host_path(request_.root.path());
  mount.set_selinux_relabel(true);
  EXPECT_FALSE(request_.Process().contains("selinuxLabel"));
  request_.selinux = {.process = "u:r:t:s0:c1,c2", .init = "u:r:init:s0", .mount = "u:r:file:s0"};
  EXPECT_EQ(request_.Process()["selinuxLabel"], "u:r:t:s0:c1,c2");
  EXPECT_EQ(request_.Config()["linux"]["mountLabel"], "u:r:file:s0");
  for (const char* program : {"/sbin/init", "/usr/lib/systemd/systemd", "systemd"}) {
    request_.container.clear_command();
    request_.container.add_command(program);
    EXPECT_EQ(request_.Process()["selinuxLabel"], "u:r:init:s0") << program;
  }
  request_.selinux.init.clear();
  EXPECT_EQ(request_.Process()["selinuxLabel"], "u:r:t:s0:c1,c2");
  // What is executed in it is labelled alike.
  const auto exec = ExecProcess(request_.Config().dump(), {"true"}, /*tty=*/false);
  ASSERT_TRUE(exec.ok());
  EXPECT_EQ(Json::parse(*exec)["selinuxLabel"], "u:r:t:s0:c1,c2");
}

TEST_F(SecurityTest, SelinuxOptionsOnlyMatterWithSelinux) {
  request_.Context().mutable_selinux_options();
  request_.root.Write(".sys/fs/selinux/enforce", "1");
  request_.Config();
  request_.Context().mutable_selinux_options()->set_level("s0:c1,c2");
  EXPECT_EQ(Error().rfind("UNIMPLEMENTED: container web: selinux_options", 0), 0U) << Error();
  request_.Context().clear_selinux_options();
  request_.sandbox.mutable_linux()->mutable_security_context()->mutable_selinux_options()->set_type(
      "spc_t");
  EXPECT_EQ(Error().rfind("UNIMPLEMENTED: container web: sandbox selinux_options", 0), 0U);
  TestRequest without;
  without.Context().mutable_selinux_options()->set_level("s0");
  EXPECT_FALSE(without.Process().contains("selinuxLabel"));
}

TEST_F(SecurityTest, RefusesWindows) {
  request_.container.mutable_windows();
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: windows", 0), 0U);
}

TEST_F(SecurityTest, RdtClassOfTheNode) {
  (*request_.sandbox.mutable_annotations())["io.kubernetes.cri.rdt-class"] = "gold";
  EXPECT_FALSE(request_.Config()["linux"].contains("intelRdt")) << "the handler does not allow it";
  request_.allowed_annotations = {"io.kubernetes.cri.rdt-class"};
  EXPECT_NE(Error().find("resctrl is not mounted"), std::string::npos);
  request_.root.Write(".sys/fs/resctrl/schemata", "");
  EXPECT_NE(Error().find("has no class gold"), std::string::npos);
  request_.root.MakeDir(".sys/fs/resctrl/gold");
  EXPECT_EQ(request_.Config()["linux"]["intelRdt"]["closID"], "gold");
  (*request_.container.mutable_annotations())["io.kubernetes.cri.rdt-class"] = "../x";
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT", 0), 0U);
}

}  // namespace
}  // namespace davit::server::spec
