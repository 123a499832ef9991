// SPDX-License-Identifier: Apache-2.0
//
// Pod networks: configured ones, host ports, and plugins that are missing, fail, hang or babble.

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"
#include "test/images/fixture_images.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

class NetworkTest : public E2eTest {
 protected:
  absl::Status TryRun(const std::string& name) {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = PodConfig(name);
    return client().RunPodSandbox(request).status();
  }
  void Configure(const std::string& name, const std::string& json) {
    Must(WriteFileAtomic(daemon().net_d() + "/" + name, json, 0644));
  }
  // A network of one plugin that is a script: its commands are noted in <dir>/calls.
  void FakePlugin(const std::string& body) {
    const std::string script = "#!/bin/sh\necho $CNI_COMMAND $CNI_CONTAINERID >> " +
                               daemon().dir() + "/calls\n" + body + "\n";
    Must(WriteFileAtomic(daemon().cni_bin() + "/fake", script, 0755));
    Configure("10-fake.conflist",
              R"({"cniVersion":"1.0.0","name":"fakenet","plugins":[{"type":"fake"}]})");
  }
  // A bridge without the plugin portmap.
  void ConfigureBridge(const std::string& ranges = R"([[{"subnet":"10.77.0.0/24"}]])") {
    DeleteBridge();  // another test may have given it other addresses
    Configure("10-bridge.conflist",
              R"({"cniVersion":"1.0.0","name":"bridge","plugins":[
      {"type":"bridge","bridge":"e2e0","isGateway":true,"ipMasq":true,
       "ipam":{"type":"host-local","ranges":)" +
                  ranges + R"(,"dataDir":")" + daemon().leases() + R"("}}]})");
  }
  v1::PodSandboxConfig PodWithPort(const std::string& name, int host_port) {
    auto config = PodConfig(name);
    auto& port = *config.add_port_mappings();
    port.set_container_port(test::kWebPort);
    port.set_host_port(host_port);
    return config;
  }
  static std::string Page(const std::string& address) {
    return RunCommand({"/bin/busybox", "timeout", "5", "/bin/busybox", "wget", "-q", "-O", "-",
                       "http://" + address + "/"})
        .out;
  }
  static bool Serves(const std::string& address) { return Page(address) == test::kWebPage; }
  static std::string Ruleset() { return MustRun({"nft", "list", "ruleset"}); }
  static void DeleteBridge() { (void)RunCommand({"ip", "link", "delete", "e2e0"}); }
  std::string Calls() { return ReadFile(daemon().dir() + "/calls").value_or(""); }
};

TEST_F(NetworkTest, ConfiguredNetworkComesBeforeTheEmbeddedOne) {
  Configure("20-late.conflist", R"({"cniVersion":"1.0.0","name":"late","plugins":[
      {"type":"no-such-plugin"}]})");
  Configure("10-first.conflist",
            R"({"cniVersion":"1.0.0","name":"first","plugins":[
      {"type":"bridge","bridge":"e2e0","isGateway":true,"ipMasq":true,
       "ipam":{"type":"host-local","ranges":[[{"subnet":"10.77.0.0/24"}]],"dataDir":")" +
                daemon().leases() + R"("}},
      {"type":"portmap","capabilities":{"portMappings":true}}]})");
  Pull("busybox");
  const Pod pod = RunPod("pod");
  const std::string ip = PodStatus(pod.id).network().ip();
  EXPECT_TRUE(ip.starts_with("10.77.0.")) << ip;
  const std::string id = Run(pod, ShellContainer("look", "exec sleep 1000"));
  EXPECT_NE(ShellIn(id, "ip -4 addr show eth0").find(ip), std::string::npos);
  EXPECT_NE(ShellIn(id, "ip addr show lo").find("127.0.0.1/8"), std::string::npos);
  RemovePod(pod.id);
  (void)RunCommand({"ip", "link", "delete", "e2e0"});
}

TEST_F(NetworkTest, HostPort) {
  Pull("web");
  auto config = PodConfig("web");
  auto& port = *config.add_port_mappings();
  port.set_container_port(test::kWebPort);
  port.set_host_port(18080);
  const Pod pod = RunPod(config);
  Run(pod, Container("web", {}, "web"));
  const std::string ip = PodStatus(pod.id).network().ip();
  const auto page = [](const std::string& address) {
    return RunCommand({"/bin/busybox", "timeout", "5", "/bin/busybox", "wget", "-q", "-O", "-",
                       "http://" + address + "/"})
        .out;
  };
  EXPECT_TRUE(Eventually([&] { return page(ip + ":8080") == test::kWebPage; }));
  // The bridge's address is one of the node.
  EXPECT_EQ(page("10.123.0.1:18080"), test::kWebPage);
  RemovePod(pod.id);
  EXPECT_EQ(MustRun({"iptables-save", "-t", "nat"}).find("18080"), std::string::npos);
}

// Without a plugin for them Davit publishes ports itself, and goes on to when it is killed, when
// somebody deletes its table, and when both happen. (Not the ruleset: the bridge plugin has rules,
// too, and its DEL fails without them.)
TEST_F(NetworkTest, OwnHostPort) {
  ConfigureBridge();
  Pull("web");
  const Pod pod = RunPod(PodWithPort("web", 18080));
  Run(pod, Container("web", {}, "web"));
  EXPECT_TRUE(Eventually([&] { return Serves("10.77.0.1:18080"); }));
  EXPECT_TRUE(Serves("127.0.0.1:18080"));
  ExpectError(client()
                  .RunPodSandbox([&] {
                    v1::RunPodSandboxRequest request;
                    *request.mutable_config() = PodWithPort("other", 18080);
                    return request;
                  }())
                  .status(),
              Code::kAlreadyExists, "host port *:18080/tcp is taken by pod");
  EXPECT_EQ(Pods().size(), 1U);

  MustRun({"nft", "delete", "table", "inet", "davit_hostports"});
  EXPECT_TRUE(Eventually([&] { return Serves("127.0.0.1:18080"); })) << "restored";
  daemon().Kill();
  EXPECT_TRUE(Serves("127.0.0.1:18080")) << "without a daemon";
  MustRun({"nft", "delete", "table", "inet", "davit_hostports"});
  StartDaemon({.drop_in = {}, .failpoints = {}});
  EXPECT_TRUE(Eventually([&] { return Serves("127.0.0.1:18080"); })) << "after a start";

  StopPod(pod.id);
  EXPECT_EQ(Ruleset().find("davit"), std::string::npos);
  EXPECT_EQ(Page("127.0.0.1:18080"), "");
  const Pod next = RunPod(PodWithPort("next", 18080));
  EXPECT_NE(Ruleset().find("18080"), std::string::npos);
  RemovePod(pod.id);
  RemovePod(next.id);
  EXPECT_EQ(Ruleset().find("davit"), std::string::npos);
  DeleteBridge();
}

TEST_F(NetworkTest, AddressesOfBothFamilies) {
  ConfigureBridge(R"([[{"subnet":"fd00:77::/64"}],[{"subnet":"10.77.0.0/24"}]])");
  Pull("busybox");
  const Pod pod = RunPod("pod");
  const auto network = PodStatus(pod.id).network();
  EXPECT_TRUE(network.ip().starts_with("fd00:77::")) << network.ip();
  ASSERT_EQ(network.additional_ips_size(), 1);
  EXPECT_TRUE(network.additional_ips(0).ip().starts_with("10.77.0."));
  const std::string id = Run(pod, ShellContainer("look", "exec sleep 1000"));
  const std::string addresses = ShellIn(id, "ip addr show eth0");
  EXPECT_NE(addresses.find(network.ip()), std::string::npos) << addresses;
  EXPECT_NE(addresses.find(network.additional_ips(0).ip()), std::string::npos) << addresses;
  RestartDaemon();
  EXPECT_EQ(PodStatus(pod.id).network().ip(), network.ip());
  EXPECT_EQ(PodStatus(pod.id).network().additional_ips_size(), 1);
  RemovePod(pod.id);
  DeleteBridge();
}

TEST_F(NetworkTest, SixAlone) {
  ConfigureBridge(R"([[{"subnet":"fd00:77::/64"}]])");
  Pull("busybox");
  const Pod pod = RunPod("pod");
  const auto network = PodStatus(pod.id).network();
  EXPECT_TRUE(network.ip().starts_with("fd00:77::")) << network.ip();
  EXPECT_EQ(network.additional_ips_size(), 0);
  const std::string id = Run(pod, ShellContainer("look", "exec sleep 1000"));
  EXPECT_NE(ShellIn(id, "cat /etc/hosts").find(network.ip()), std::string::npos);
  RemovePod(pod.id);
  DeleteBridge();
}

TEST_F(NetworkTest, StatusOfThePluginsIsNetworkReady) {
  const auto ready = [&] {
    const v1::StatusResponse response = Must(client().Status());
    for (const auto& condition : response.status().conditions()) {
      if (condition.type() == "NetworkReady") {
        return condition.status() ? std::string("ready") : condition.message();
      }
    }
    return std::string("no condition");
  };
  Must(WriteFileAtomic(daemon().cni_bin() + "/fake",
                       "#!/bin/sh\necho $CNI_COMMAND >> " + daemon().dir() +
                           "/calls\n[ $CNI_COMMAND != STATUS ] || [ -e " + daemon().dir() +
                           "/up ] || { echo '{\"code\":50,\"msg\":\"no agent\"}'; exit 1; }\n",
                       0755));
  Configure("10-fake.conflist",
            R"({"cniVersion":"1.1.0","name":"fakenet","plugins":[{"type":"fake"}]})");
  EXPECT_TRUE(Eventually([&] { return ready().find("no agent") != std::string::npos; })) << ready();
  Must(WriteFileAtomic(daemon().dir() + "/up", ""));
  EXPECT_TRUE(Eventually([&] { return ready() == "ready"; })) << ready();
}

// A configuration that is there at the start: plugins are told that there are no pods.
TEST_F(NetworkTest, PluginsCollectGarbageAtTheStart) {
  FakePlugin("true");
  Configure("10-fake.conflist",
            R"({"cniVersion":"1.1.0","name":"fakenet","plugins":[{"type":"fake"}]})");
  RestartDaemon();
  EXPECT_TRUE(Eventually([&] { return Calls().find("GC") != std::string::npos; })) << Calls();
}

class NoOwnHostPorts : public NetworkTest {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = "network: {host_ports: \"off\"}", .failpoints = {}};
  }
};

TEST_F(NoOwnHostPorts, AreLeftToOthers) {
  ConfigureBridge();
  const Pod pod = RunPod(PodWithPort("web", 18080));
  EXPECT_EQ(Ruleset().find("davit_hostports"), std::string::npos);
  RemovePod(pod.id);
  DeleteBridge();
}

TEST_F(NetworkTest, PluginThatIsMissing) {
  Configure("10-x.conflist",
            R"({"cniVersion":"1.0.0","name":"x","plugins":[{"type":"no-such-plugin"}]})");
  const absl::Status status = TryRun("pod");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("no-such-plugin"), std::string::npos) << status;
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Leaks(), "");
}

TEST_F(NetworkTest, PluginThatFailsIsQuotedAndDelIsCalled) {
  FakePlugin(R"(if [ $CNI_COMMAND = ADD ]; then
  echo '{"cniVersion":"1.0.0","code":100,"msg":"no ships today","details":"fog"}'
  exit 1
fi)");
  ExpectError(TryRun("pod"), Code::kInternal, "no ships today");
  EXPECT_NE(Calls().find("ADD "), std::string::npos);
  EXPECT_NE(Calls().find("DEL "), std::string::npos);
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Leaks(), "");
}

TEST_F(NetworkTest, PluginThatPrintsGarbage) {
  FakePlugin("[ $CNI_COMMAND = DEL ] || echo 'Segmentation fault {{{'");
  const absl::Status status = TryRun("pod");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("fake"), std::string::npos) << status;
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Leaks(), "");
}

TEST_F(NetworkTest, PluginThatFloodsItsOutput) {
  FakePlugin("[ $CNI_COMMAND = DEL ] || head -c 300000000 /dev/zero");
  EXPECT_FALSE(TryRun("pod").ok());
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Leaks(), "");
}

class ImpatientNetwork : public NetworkTest {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = "network: {add_timeout: 1s, del_timeout: 1s}", .failpoints = {}};
  }
};

TEST_F(ImpatientNetwork, PluginThatHangsIsKilled) {
  FakePlugin("[ $CNI_COMMAND = DEL ] || sleep 1000");
  const auto begun = std::chrono::steady_clock::now();
  ExpectError(TryRun("pod"), Code::kDeadlineExceeded, "fake");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 20s);
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Leaks(), "");
}

// A pod whose DEL fails must not be forgotten, or its address is lost.
TEST_F(ImpatientNetwork, DelThatFailsIsTriedAgain) {
  FakePlugin(R"(case $CNI_COMMAND in
ADD) echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"'$CNI_NETNS'"}],)"
             R"("ips":[{"address":"10.9.9.9/24","interface":0}]}' ;;
DEL) [ -e )" +
             daemon().dir() + R"(/del-works ] || exit 1 ;;
esac)");
  const Pod pod = RunPod("pod");
  EXPECT_EQ(PodStatus(pod.id).network().ip(), "10.9.9.9");
  v1::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(pod.id);
  EXPECT_FALSE(client().StopPodSandbox(stop).ok());
  EXPECT_EQ(Pods().size(), 1U);
  EXPECT_NE(PodStatus(pod.id).state(), v1::SANDBOX_READY);
  Must(WriteFileAtomic(daemon().dir() + "/del-works", ""));
  EXPECT_TRUE(client().StopPodSandbox(stop).ok());
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

class NoNetwork : public NetworkTest {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = "network: {default_bridge: false}", .failpoints = {}};
  }
};

TEST_F(NoNetwork, NothingIsConfigured) {
  const auto status = Must(client().Status()).status();
  for (const auto& condition : status.conditions()) {
    if (condition.type() == "NetworkReady") {
      EXPECT_FALSE(condition.status());
      EXPECT_FALSE(condition.reason().empty());
      EXPECT_NE(condition.message().find(daemon().net_d()), std::string::npos)
          << condition.message();
    }
  }
  ExpectError(TryRun("pod"), Code::kUnavailable, daemon().net_d());
  auto host = PodConfig("host");
  host.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
      v1::NODE);
  EXPECT_EQ(PodStatus(RunPod(host).id).state(), v1::SANDBOX_READY);
}

}  // namespace
}  // namespace davit::e2e
