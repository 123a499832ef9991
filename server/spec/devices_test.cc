// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

class DevicesTest : public testing::Test {
 protected:
  runtime::v1::Device& Add(const std::string& host, const std::string& container,
                           const std::string& permissions = "") {
    runtime::v1::Device* device = request_.container.add_devices();
    device->set_host_path(host);
    device->set_container_path(container);
    device->set_permissions(permissions);
    return *device;
  }
  Devices Build() {
    const absl::StatusOr<Devices> devices = BuildDevices(request_.Input(), dev_.path());
    EXPECT_TRUE(devices.ok()) << Text(devices.status());
    return devices.ok() ? *devices : Devices{};
  }
  std::string Error() { return Text(BuildDevices(request_.Input(), dev_.path()).status()); }
  bool MakeNode(const std::string& name, mode_t type, unsigned major_number,
                unsigned minor_number) {
    return mknod((dev_.path() + "/" + name).c_str(), type | 0640,
                 makedev(major_number, minor_number)) == 0;
  }

  TempDir dev_;
  TestRequest request_;
};

const Json kDenyAll = {{"allow", false}, {"access", "rwm"}};
const Json kAllowAll = {{"allow", true}, {"access", "rwm"}};

TEST_F(DevicesTest, NoneIsDenyAll) {
  EXPECT_TRUE(Build().nodes.empty());
  EXPECT_EQ(Build().rules, Json::array({kDenyAll}));
}

TEST_F(DevicesTest, RequestedDevice) {
  Add("/dev/null", "/dev/my//null", "rw");
  const Devices devices = Build();
  ASSERT_EQ(devices.nodes.size(), 1U);
  EXPECT_EQ(devices.nodes[0]["path"], "/dev/my/null");
  EXPECT_EQ(devices.nodes[0]["type"], "c");
  EXPECT_EQ(devices.nodes[0]["major"], 1);
  EXPECT_EQ(devices.nodes[0]["minor"], 3);
  EXPECT_EQ(devices.nodes[0]["fileMode"], 0666);
  EXPECT_EQ(devices.rules,
            Json::array(
                {kDenyAll,
                 {{"allow", true}, {"type", "c"}, {"major", 1}, {"minor", 3}, {"access", "rw"}}}));
}

TEST_F(DevicesTest, OfTheNodeAndByAnnotation) {
  request_.host.additional_devices = {"/dev/zero:/dev/nought:r"};
  request_.host.allowed_devices = {"/dev/null"};
  (*request_.container.mutable_annotations())["davit.io/devices"] =
      "/dev/null:rw, /dev/null:/dev/x";
  ASSERT_EQ(Build().nodes.size(), 1U) << "the handler does not allow the annotation";
  EXPECT_EQ(Build().nodes[0]["path"], "/dev/nought");
  EXPECT_EQ(Build().rules.back()["access"], "r");
  request_.allowed_annotations = {"davit.io/*"};
  const Devices devices = Build();
  ASSERT_EQ(devices.nodes.size(), 3U);
  EXPECT_EQ(devices.nodes[1]["path"], "/dev/null");
  EXPECT_EQ(devices.nodes[2]["path"], "/dev/x");
  EXPECT_EQ(devices.rules[2]["access"], "rw");
  EXPECT_EQ(devices.rules[3]["access"], "rwm");
  (*request_.container.mutable_annotations())["davit.io/devices"] = "/dev/zero";
  EXPECT_EQ(Error().rfind("PERMISSION_DENIED: annotation davit.io/devices: /dev/zero", 0), 0U);
  request_.host.additional_devices = {"/no/such/device"};
  EXPECT_EQ(Error().rfind("FAILED_PRECONDITION: runtime.additional_devices", 0), 0U) << Error();
}

TEST_F(DevicesTest, BelongToTheContainersUserIfTheNodeSaysSo) {
  Add("/dev/null", "/dev/null");
  request_.Context().mutable_run_as_user()->set_value(1000);
  request_.Context().mutable_run_as_group()->set_value(44);
  struct stat null = {};
  ASSERT_EQ(stat("/dev/null", &null), 0);
  EXPECT_EQ(Build().nodes[0]["uid"], null.st_uid);
  request_.host.device_ownership_from_security_context = true;
  EXPECT_EQ(Build().nodes[0]["uid"], 1000);
  EXPECT_EQ(Build().nodes[0]["gid"], 44);
}

TEST_F(DevicesTest, RefusesWhatIsNoDevice) {
  const std::string file = dev_.Write("file", "");
  struct Case {
    std::string host;
    std::string container;
    std::string permissions;
    std::string field;
  };
  for (const Case& each :
       {Case{file, "/dev/x", "", "host_path"}, Case{dev_.path() + "/no", "/dev/x", "", "host_path"},
        Case{"", "/dev/x", "", "host_path"}, Case{"null", "/dev/x", "", "host_path"},
        Case{"/dev/null", "dev/x", "", "container_path"},
        Case{"/dev/null", "/dev/../x", "", "container_path"},
        Case{"/dev/null", "/dev/x", "rx", "permissions"},
        Case{"/dev/null", "/dev/x", "rwmr", "permissions"}}) {
    request_.container.clear_devices();
    Add(each.host, each.container, each.permissions);
    EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: devices[0]." + each.field, 0), 0U) << Error();
  }
}

TEST_F(DevicesTest, PrivilegedSeesTheHostsDevices) {
  dev_.MakeDir("snd");
  dev_.MakeDir("pts");
  if (!MakeNode("loop7", S_IFBLK, 7, 7) || !MakeNode("snd/pcm", S_IFCHR, 116, 2) ||
      !MakeNode("pts/3", S_IFCHR, 136, 3) || !MakeNode("console", S_IFCHR, 5, 1)) {
    GTEST_SKIP() << "needs root to make device nodes";
  }
  dev_.Write("file", "");
  ASSERT_EQ(symlink("loop7", (dev_.path() + "/link").c_str()), 0);
  request_.MakePrivileged();
  request_.privileged_without_host_devices = false;
  const Devices devices = Build();
  ASSERT_EQ(devices.nodes.size(), 2U) << devices.nodes;
  EXPECT_EQ(devices.nodes[0]["path"], "/dev/loop7");
  EXPECT_EQ(devices.nodes[0]["type"], "b");
  EXPECT_EQ(devices.nodes[0]["fileMode"], 0640);
  EXPECT_EQ(devices.nodes[1]["path"], "/dev/snd/pcm");
  EXPECT_EQ(devices.rules, Json::array({kAllowAll}));

  request_.privileged_without_host_devices = true;
  EXPECT_TRUE(Build().nodes.empty());
}

TEST_F(DevicesTest, DirectoryIsExpanded) {
  dev_.MakeDir("snd/sub");
  if (!MakeNode("snd/a", S_IFCHR, 116, 2) || !MakeNode("snd/sub/b", S_IFCHR, 116, 3)) {
    GTEST_SKIP() << "needs root to make device nodes";
  }
  Add(dev_.path() + "/snd", "/dev/sound", "r");
  const Devices devices = Build();
  ASSERT_EQ(devices.nodes.size(), 2U);
  EXPECT_EQ(devices.nodes[0]["path"], "/dev/sound/a");
  EXPECT_EQ(devices.nodes[1]["path"], "/dev/sound/sub/b");
  EXPECT_EQ(devices.rules.size(), 3U);
}

TEST_F(DevicesTest, NodesBeneathAMountAreLeftOut) {
  Add("/dev/null", "/dev/my/null");
  Add("/dev/zero", "/dev/zero0");
  runtime::v1::Mount* mount = request_.container.add_mounts();
  mount->set_container_path("/dev/my");
  mount->set_host_path("/tmp");
  const Devices devices = Build();
  ASSERT_EQ(devices.nodes.size(), 1U);
  EXPECT_EQ(devices.nodes[0]["path"], "/dev/zero0");
  EXPECT_EQ(devices.rules.size(), 3U);
}

}  // namespace
}  // namespace davit::server::spec
