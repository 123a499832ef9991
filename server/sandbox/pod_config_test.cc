// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/pod_config.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "server/sandbox/resolv_conf.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;

v1::PodSandboxConfig Good() {
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name("web");
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("u-1");
  return config;
}

v1::NamespaceOption* Namespaces(v1::PodSandboxConfig& config) {
  return config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
}

TEST(PodConfig, WhatIsWrongIsRefusedByName) {
  ASSERT_TRUE(CheckPodConfig(Good()).ok());
  using Change = std::function<void(v1::PodSandboxConfig&)>;
  const std::vector<std::pair<const char*, Change>> cases = {
      {"metadata", [](auto& c) { c.clear_metadata(); }},
      {"metadata.name", [](auto& c) { c.mutable_metadata()->set_name(""); }},
      {"metadata.name", [](auto& c) { c.mutable_metadata()->set_name("../x"); }},
      {"metadata.uid", [](auto& c) { c.mutable_metadata()->set_uid(""); }},
      {"metadata.namespace", [](auto& c) { c.mutable_metadata()->set_namespace_("a\nb"); }},
      {"metadata.namespace", [](auto& c) { c.mutable_metadata()->set_namespace_(".."); }},
      {"hostname", [](auto& c) { c.set_hostname(std::string(65, 'a')); }},
      {"hostname", [](auto& c) { c.set_hostname("a b"); }},
      {"log_directory", [](auto& c) { c.set_log_directory("var/log"); }},
      {"log_directory", [](auto& c) { c.set_log_directory("/var/log/../../etc"); }},
      {"dns_config.servers",
       [](auto& c) { c.mutable_dns_config()->add_servers("1.1.1.1\nnameserver 6.6.6.6"); }},
      {"dns_config.searches", [](auto& c) { c.mutable_dns_config()->add_searches(""); }},
      {"port mapping", [](auto& c) { c.add_port_mappings()->set_host_port(65536); }},
      {"port mapping", [](auto& c) { c.add_port_mappings()->set_container_port(-1); }},
      {"namespace_options", [](auto& c) { Namespaces(c)->set_network(v1::CONTAINER); }},
      {"namespace_options", [](auto& c) { Namespaces(c)->set_ipc(v1::TARGET); }},
      {"namespace_options.pid", [](auto& c) { Namespaces(c)->set_pid(v1::TARGET); }},
      {"namespace_options.target_id", [](auto& c) { Namespaces(c)->set_target_id("abc"); }},
      {"windows", [](auto& c) { c.mutable_windows(); }},
      {"host_ip", [](auto& c) { c.add_port_mappings()->set_host_ip("1.2.3"); }},
      {"linux.resources",
       [](auto& c) { c.mutable_linux()->mutable_resources()->set_cpu_quota(-5); }},
      {"linux.overhead",
       [](auto& c) { c.mutable_linux()->mutable_overhead()->set_memory_limit_in_bytes(-5); }},
  };
  for (const auto& [field, change] : cases) {
    v1::PodSandboxConfig config = Good();
    change(config);
    const absl::Status status = CheckPodConfig(config);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << field << ": " << status;
    EXPECT_NE(std::string(status.message()).find(field), std::string::npos) << status;
  }
}

TEST(PodConfig, SecurityOfThePodItselfIsChecked) {
  using Change = std::function<void(v1::LinuxSandboxSecurityContext&)>;
  const std::vector<std::pair<const char*, Change>> cases = {
      {"run_as_user", [](auto& c) { c.mutable_run_as_user()->set_value(-1); }},
      {"run_as_user", [](auto& c) { c.mutable_run_as_user()->set_value(int64_t{1} << 31); }},
      {"run_as_group needs", [](auto& c) { c.mutable_run_as_group()->set_value(1); }},
      {"run_as_group -1",
       [](auto& c) {
         c.mutable_run_as_user()->set_value(1);
         c.mutable_run_as_group()->set_value(-1);
       }},
      {"supplemental_groups -2", [](auto& c) { c.add_supplemental_groups(-2); }},
      {"supplemental_groups_policy",
       [](auto& c) {
         c.set_supplemental_groups_policy(static_cast<v1::SupplementalGroupsPolicy>(7));
       }},
      {"seccomp.profile_type",
       [](auto& c) {
         c.mutable_seccomp()->set_profile_type(static_cast<v1::SecurityProfile::ProfileType>(9));
       }},
      {"seccomp.localhost_ref",
       [](auto& c) { c.mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost); }},
      {"apparmor.localhost_ref",
       [](auto& c) { c.mutable_apparmor()->set_profile_type(v1::SecurityProfile::Localhost); }},
  };
  for (const auto& [field, change] : cases) {
    v1::PodSandboxConfig config = Good();
    change(*config.mutable_linux()->mutable_security_context());
    const absl::Status status = CheckPodConfig(config);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << field << ": " << status;
    EXPECT_NE(std::string(status.message()).find(field), std::string::npos) << status;
  }
}

TEST(PodConfig, NoTwoPodsShareAName) {
  v1::PodSandboxMetadata metadata = Good().metadata();
  EXPECT_EQ(SandboxName(metadata), "web_default_u-1_0");
  metadata.set_attempt(1);
  EXPECT_EQ(SandboxName(metadata), "web_default_u-1_1");
  v1::PodSandboxMetadata a;
  a.set_name("x_y");
  a.set_namespace_("z");
  a.set_uid("1");
  v1::PodSandboxMetadata b;
  b.set_name("x");
  b.set_namespace_("y_z");
  b.set_uid("1");
  EXPECT_NE(SandboxName(a), SandboxName(b));
  EXPECT_EQ(EscapeNamePart("a_b%5f"), "a%5fb%255f");
}

TEST(PodConfig, DefaultsOfTheNode) {
  config::Runtime node;
  node.log_directory = "/var/log/pods";
  node.default_sysctls = {{"net.ipv4.ip_forward", "1"}, {"kernel.shm_rmid_forced", "1"}};
  v1::PodSandboxConfig config = Good();
  EXPECT_EQ(PodHostname(config), "web");
  EXPECT_EQ(LogDirectory(config, node), "/var/log/pods/default_web_u-1");
  (*config.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "0";
  EXPECT_EQ(PodSysctls(config, node).at("net.ipv4.ip_forward"), "0");
  EXPECT_EQ(PodSysctls(config, node).size(), 2U);
  config.mutable_linux()->clear_sysctls();
  Namespaces(config)->set_network(v1::NODE);
  EXPECT_EQ(PodSysctls(config, node).count("net.ipv4.ip_forward"), 0U);
  Namespaces(config)->set_ipc(v1::NODE);
  EXPECT_TRUE(PodSysctls(config, node).empty());
  config.set_log_directory("/logs/x");
  EXPECT_EQ(LogDirectory(config, node), "/logs/x");
}

TEST(ResolvConf, TextOfARequest) {
  v1::DNSConfig dns;
  dns.add_servers("10.0.0.10");
  dns.add_servers("fd00::10");
  dns.add_searches("default.svc.cluster.local");
  dns.add_searches("svc.cluster.local");
  dns.add_options("ndots:5");
  EXPECT_EQ(ResolvConfText(dns),
            "search default.svc.cluster.local svc.cluster.local\n"
            "nameserver 10.0.0.10\n"
            "nameserver fd00::10\n"
            "options ndots:5\n");
}

TEST(ResolvConf, HostsText) {
  EXPECT_EQ(HostsText("web", {"10.1.2.3", "fd00::3"}),
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            "10.1.2.3\tweb\nfd00::3\tweb\n");
}

}  // namespace
}  // namespace davit::server
