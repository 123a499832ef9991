// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/user_namespace.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "server/sandbox/pod_config.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;

v1::NamespaceOption& Options(v1::PodSandboxConfig& config) {
  return *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
}
v1::UserNamespace& User(v1::PodSandboxConfig& config) {
  return *Options(config).mutable_userns_options();
}

void Map(google::protobuf::RepeatedPtrField<v1::IDMapping>& list, uint32_t inside, uint32_t outside,
         uint32_t length) {
  auto& range = *list.Add();
  range.set_container_id(inside);
  range.set_host_id(outside);
  range.set_length(length);
}

v1::PodSandboxConfig Mapped() {
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name("pod");
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("uid");
  User(config).set_mode(v1::POD);
  Map(*User(config).mutable_uids(), 0, 65536, 65536);
  Map(*User(config).mutable_gids(), 0, 131072, 65536);
  return config;
}

TEST(PodUserNamespace, MappingsAreTaken) {
  v1::PodSandboxConfig config = Mapped();
  EXPECT_EQ(CheckPodConfig(config), absl::OkStatus());
  const storage::IdMappings expected = {.uids = {{0, 65536, 65536}}, .gids = {{0, 131072, 65536}}};
  EXPECT_EQ(PodIdMappings(config), expected);
  EXPECT_EQ(PodRoot(config).uid, 65536U);
  EXPECT_EQ(PodRoot(config).gid, 131072U);
  Map(*User(config).mutable_uids(), 65536, 1000, 1);
  EXPECT_EQ(CheckPodConfig(config), absl::OkStatus()) << "several that do not overlap";
  User(config).Clear();
  User(config).set_mode(v1::NODE);
  EXPECT_EQ(CheckPodConfig(config), absl::OkStatus());
  EXPECT_TRUE(PodIdMappings(config).empty());
  EXPECT_EQ(PodRoot(config).uid, 0U);
}

TEST(PodUserNamespace, WhatIsWrongIsRefusedByName) {
  using Change = std::function<void(v1::PodSandboxConfig&)>;
  const std::vector<std::pair<const char*, Change>> cases = {
      {"userns_options.mode CONTAINER", [](auto& c) { User(c).set_mode(v1::CONTAINER); }},
      {"userns_options.mode TARGET", [](auto& c) { User(c).set_mode(v1::TARGET); }},
      {"userns_options.mode 9",
       [](auto& c) { User(c).set_mode(static_cast<v1::NamespaceMode>(9)); }},
      {"userns_options.uids: mode NODE", [](auto& c) { User(c).set_mode(v1::NODE); }},
      {"userns_options.uids: ", [](auto& c) { User(c).clear_uids(); }},
      {"userns_options.gids: ", [](auto& c) { User(c).clear_gids(); }},
      {"userns_options.gids: ", [](auto& c) { User(c).mutable_gids(0)->set_length(0); }},
      {"userns_options.uids: ", [](auto& c) { User(c).mutable_uids(0)->set_container_id(1); }},
      {"userns_options.uids: ", [](auto& c) { User(c).mutable_uids(0)->set_host_id(UINT32_MAX); }},
      {"userns_options.uids: ", [](auto& c) { Map(*User(c).mutable_uids(), 0, 1, 5); }},
      {"userns_options.gids: ", [](auto& c) { Map(*User(c).mutable_gids(), 70000, 131072, 1); }},
      {"namespace_options.pid NODE", [](auto& c) { Options(c).set_pid(v1::NODE); }},
      {"namespace_options.ipc NODE", [](auto& c) { Options(c).set_ipc(v1::NODE); }},
  };
  for (const auto& [field, change] : cases) {
    v1::PodSandboxConfig config = Mapped();
    change(config);
    const absl::Status status = CheckPodConfig(config);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << field << ": " << status;
    EXPECT_NE(std::string(status.message()).find(field), std::string::npos)
        << field << ": " << status;
  }
}

TEST(PodUserNamespace, PingGroupsAreTheHosts) {
  const storage::IdMappings mappings = {.uids = {{0, 1, 1}},
                                        .gids = {{0, 100000, 1000}, {5000, 500000, 10}}};
  EXPECT_EQ(HostPingGroupRange("0 2147483647", mappings), "100000 100999") << "clipped";
  EXPECT_EQ(HostPingGroupRange("10\t20", mappings), "100010 100020");
  EXPECT_EQ(HostPingGroupRange("5001 5001", mappings), "500001 500001");
  EXPECT_EQ(HostPingGroupRange("4000 4500", mappings), "1 0");
  EXPECT_EQ(HostPingGroupRange("1 0", mappings), "1 0");
  EXPECT_EQ(HostPingGroupRange("nonsense", mappings), "nonsense");
  EXPECT_EQ(HostPingGroupRange("0 7", {}), "0 7");
  v1::PodSandboxConfig config = Mapped();
  config::Runtime node;
  node.default_sysctls["net.ipv4.ping_group_range"] = "0 2147483647";
  EXPECT_EQ(PodSysctls(config, node).at("net.ipv4.ping_group_range"), "131072 196607");
}

}  // namespace
}  // namespace davit::server
