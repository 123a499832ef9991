// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/status.h"
#include "server/spec/cdi/cdi_spec.h"
#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

constexpr char kYaml[] = R"(cdiVersion: "0.6.0"
kind: "vendor.example/device"
devices:
- name: nothing
  containerEdits:
    env: ["WHICH=nothing"]
    deviceNodes:
    - path: /dev/vendor-null
      hostPath: /dev/null
      permissions: rw
      fileMode: 0640
- name: "1"
  containerEdits:
    env:
    - WHICH=one
containerEdits:
  env: [VENDOR=yes]
  additionalGids: [44]
  mounts:
  - {hostPath: /lib, containerPath: /vendor/lib, options: [ro, rbind]}
  hooks:
  - {hookName: createContainer, path: /bin/true, args: ["true", x]}
)";

class CdiTest : public testing::Test {
 protected:
  CdiTest() { request_.host.cdi_dirs = {dir_.MakeDir("etc"), dir_.path() + "/run"}; }

  void Ask(const std::string& name) { request_.container.add_cdi_devices()->set_name(name); }
  std::string Error() { return Text(request_.Error()); }

  TempDir dir_;
  TestRequest request_;
};

TEST_F(CdiTest, EditsOfDevicesAndTheirFileAreApplied) {
  dir_.Write("etc/vendor.yaml", kYaml);
  Ask("vendor.example/device=nothing");
  Ask("vendor.example/device=1");
  const Json config = request_.Config();
  const Json& env = config["process"]["env"];
  EXPECT_TRUE(HasString(env, "VENDOR=yes"));
  EXPECT_TRUE(HasString(env, "WHICH=one")) << "of the same name the last counts";
  EXPECT_FALSE(HasString(env, "WHICH=nothing"));
  const Json device = FindBy(config["linux"]["devices"], "path", "/dev/vendor-null");
  EXPECT_EQ(device["type"], "c");
  EXPECT_EQ(device["major"], 1);
  EXPECT_EQ(device["minor"], 3);
  EXPECT_EQ(device["fileMode"], 0640);
  const Json& rule = config["linux"]["resources"]["devices"].back();
  EXPECT_EQ(rule["access"], "rw");
  EXPECT_EQ(rule["minor"], 3);
  EXPECT_EQ(FindBy(config["mounts"], "destination", "/vendor/lib")["source"], "/lib");
  ASSERT_EQ(config["hooks"]["createContainer"].size(), 1U) << "once for all devices of the file";
  EXPECT_EQ(config["hooks"]["createContainer"][0]["args"], Json::array({"true", "x"}));
  EXPECT_EQ(config["process"]["user"]["additionalGids"].back(), 44);
}

TEST_F(CdiTest, JsonAndAnnotationsServeToo) {
  dir_.Write("run/vendor.json",
             R"({"cdiVersion":"0.5.0","kind":"vendor.example/net","devices":[
                 {"name":"a","containerEdits":{"env":["A=1"]}},
                 {"name":"b","containerEdits":{"env":["B=1"]}}]})");
  (*request_.container.mutable_annotations())["cdi.k8s.io/plugin_x"] =
      "vendor.example/net=a, vendor.example/net=b";
  const Json process = request_.Process();
  EXPECT_TRUE(HasString(process["env"], "A=1"));
  EXPECT_TRUE(HasString(process["env"], "B=1"));
}

TEST_F(CdiTest, LaterDirectoryWinsAndFilesAreReadAnew) {
  const auto text = [](const char* value) {
    return std::string(
               "{cdiVersion: 0.3.0, kind: v.example/c, devices: [{name: d, "
               "containerEdits: {env: [FROM=") +
           value + "]}}]}";
  };
  dir_.Write("etc/a.yaml", text("etc"));
  Ask("v.example/c=d");
  EXPECT_TRUE(HasString(request_.Process()["env"], "FROM=etc"));
  dir_.Write("run/a.yaml", text("run"));
  EXPECT_TRUE(HasString(request_.Process()["env"], "FROM=run"));
  dir_.Write("run/b.yaml", text("again"));
  EXPECT_NE(Error().find("run/a.yaml and in " + dir_.path() + "/run/b.yaml"), std::string::npos);
}

TEST_F(CdiTest, WhatCannotBeGivenIsRefusedByName) {
  Ask("vendor.example/device=gone");
  EXPECT_EQ(
      Error(),
      "FAILED_PRECONDITION: container web: CDI device vendor.example/device=gone is not known "
      "on this node");
  dir_.Write("etc/broken.yaml", "cdiVersion: 9.9.9\n");
  EXPECT_NE(Error().find("broken.yaml: cdiVersion \"9.9.9\""), std::string::npos) << Error();
  request_.container.clear_cdi_devices();
  Ask("no-such-form");
  EXPECT_NE(Error().find("VENDOR/CLASS=NAME"), std::string::npos);
  request_.container.clear_cdi_devices();
  dir_.Write("etc/odd.yaml",
             "{cdiVersion: 1.0.0, kind: v.example/c, devices: [{name: net, containerEdits: "
             "{netDevices: [{hostInterfaceName: eth9}]}}, {name: dev, containerEdits: "
             "{deviceNodes: [{path: /dev/no-such-device}]}}]}");
  Ask("v.example/c=net");
  EXPECT_NE(Error().find("containerEdits.netDevices"), std::string::npos);
  request_.container.clear_cdi_devices();
  Ask("v.example/c=dev");
  EXPECT_NE(Error().find("/dev/no-such-device: No such file"), std::string::npos);
}

TEST(CdiSpec, RefusesWhatIsNone) {
  for (const char* text :
       {"", "[]", "a: [", "cdiVersion: 0.6.0", "{cdiVersion: 0.6.0, kind: noslash}",
        "{cdiVersion: 0.6.0, kind: a.b/c, devices: [{name: \"x y\"}]}",
        "{cdiVersion: 0.6.0, kind: a.b/c, devices: [{name: x}, {name: x}]}"}) {
    const auto spec = ParseCdiSpec(text, "/file");
    EXPECT_TRUE(absl::IsInvalidArgument(spec.status())) << text;
    EXPECT_NE(Message(spec.status()).find("/file"), std::string::npos);
  }
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'l'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; ++i) {
      bomb += std::string(i == 0 ? "" : ",") + "*" + static_cast<char>(c - 1);
    }
    bomb += "]\n";
  }
  EXPECT_FALSE(ParseCdiSpec(bomb, "/bomb").ok());
}

}  // namespace
}  // namespace davit::server::spec
