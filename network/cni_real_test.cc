// SPDX-License-Identifier: Apache-2.0
//
// The plugins of the distribution as Davit calls them: what is made, kept and undone; all of them
// executed, and with those that are built in (network.builtin_plugins). What they do to packets is
// in plugin_traffic_test.cc.
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/namespace.h"
#include "base/status.h"
#include "network/real_plugins.h"
#include "network/traffic.h"

namespace davit::network {
namespace {

using nlohmann::json;

class CniRealTest : public RealPluginsTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    RealPluginsTest::SetUp();
    if (GetParam()) {
      config_.builtin_plugins = {"bridge"};
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Plugins, CniRealTest, testing::Values(false, true),
                         [](const auto& tested) { return tested.param ? "BuiltIn" : "Executed"; });

TEST_P(CniRealTest, DefaultBridge) {
  OnHost([&] {
    const auto cni = MakeCni();
    ASSERT_TRUE(cni->Ready().ok()) << cni->Ready();
    const PodNetwork pod = MakePod();
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    ExpectAdded(pod, *result);
    EXPECT_EQ(Reserved("br-test"), result->ips);
    EXPECT_NE(Exec({kIp, "-o", "addr", "show", "br-test"}).find("10.201.0.1/24"),
              std::string::npos);
    const UniqueFd listener = ListenTcp("10.201.0.1", 7001);
    EXPECT_TRUE(RunInNetNs(pod.netns_path, [] {
                  return Connects("10.201.0.1", 7001) ? absl::OkStatus()
                                                      : Internal("no connection");
                }).ok());

    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_TRUE(Reserved("br-test").empty());
    EXPECT_TRUE(CacheFiles().empty());
    EXPECT_EQ(HostVeths(), 0);
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
  });
}

TEST_P(CniRealTest, DefaultBridgePublishesPorts) {
  OnHost([&] {
    const auto cni = MakeCni();
    PodNetwork pod = MakePod();
    pod.port_mappings = {{18080, 80, "tcp", ""}};
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    UniqueFd listener;
    ASSERT_TRUE(RunInNetNs(pod.netns_path, [&] {
                  listener = ListenTcp(result->ips[0], 80);
                  return absl::OkStatus();
                }).ok());
    EXPECT_TRUE(Connects("10.201.0.1", 18080));
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_EQ(Exec({"/usr/sbin/iptables", "-w", "-t", "nat", "-S"}).find("18080"),
              std::string::npos);
    EXPECT_FALSE(Connects("10.201.0.1", 18080));
  });
}

TEST_P(CniRealTest, DelAfterTheNamespaceIsGone) {
  OnHost([&] {
    const auto cni = MakeCni();
    const PodNetwork pod = MakePod();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    ASSERT_EQ(Reserved("br-test").size(), 1U);
    ASSERT_TRUE(UnpinNamespace(pod.netns_path).ok());
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_TRUE(Reserved("br-test").empty());
    EXPECT_TRUE(CacheFiles().empty());
  });
}

TEST_P(CniRealTest, DelAfterTheConfigurationChanged) {
  OnHost([&] {
    json list = {{"cniVersion", "0.4.0"},
                 {"name", "first"},
                 {"plugins", json::array({json{{"type", "bridge"},
                                               {"bridge", "br-first"},
                                               {"isDefaultGateway", true},
                                               {"ipam", Ipam()}}})}};
    Configure("10-net.conflist", DumpJson(list));
    const auto cni = MakeCni();
    const PodNetwork kept = MakePod();
    const PodNetwork removed = MakePod();
    Context ctx;
    const auto result = cni->Add(ctx, kept);
    ASSERT_TRUE(result.ok()) << result.status();
    ExpectAdded(kept, *result);
    ASSERT_TRUE(cni->Add(ctx, removed).ok());
    EXPECT_EQ(Reserved("first").size(), 2U);
    list["name"] = "second";
    list["plugins"][0]["ipam"]["subnet"] = "10.203.0.0/24";
    Configure("10-net.conflist", DumpJson(list));
    ASSERT_TRUE(cni->Del(ctx, kept).ok());
    EXPECT_EQ(Reserved("first").size(), 1U);
    ASSERT_TRUE(RemoveFile(Path("net.d/10-net.conflist")).ok());
    ASSERT_TRUE(cni->Del(ctx, removed).ok());
    EXPECT_TRUE(Reserved("first").empty());
  });
}

TEST_P(CniRealTest, SinglePtpConfiguration) {
  OnHost([&] {
    const json ipam = RoutedIpam();
    for (const char* version : {"0.3.1", "0.4.0", "1.0.0"}) {
      Configure("10-ptp.conf", DumpJson({{"cniVersion", version},
                                         {"name", "point"},
                                         {"type", "ptp"},
                                         {"ipMasq", true},
                                         {"ipam", ipam}}));
      const auto cni = MakeCni();
      const PodNetwork pod = MakePod();
      Context ctx;
      const auto result = cni->Add(ctx, pod);
      ASSERT_TRUE(result.ok()) << version << ": " << result.status();
      ExpectAdded(pod, *result);
      ASSERT_TRUE(cni->Del(ctx, pod).ok());
      EXPECT_TRUE(Reserved("point").empty());
      EXPECT_EQ(HostVeths(), 0);
    }
  });
}

TEST_P(CniRealTest, AllAtOnce) {
  OnHost([&] {
    const json ipam = RoutedIpam();
    ConfigureChain({
        {{"type", "bridge"}, {"bridge", "br-all"}, {"isGateway", true}, {"ipam", ipam}},
        {{"type", "tuning"}, {"sysctl", {{"net.core.somaxconn", "789"}}}},
        {{"type", "firewall"}, {"backend", "iptables"}},
        {{"type", "bandwidth"}, {"capabilities", {{"bandwidth", true}}}},
    });
    const auto cni = MakeCni();
    ASSERT_TRUE(cni->Ready().ok()) << cni->Ready();
    PodNetwork pod = MakePod();
    pod.annotations = {{"kubernetes.io/ingress-bandwidth", "10M"},
                       {"kubernetes.io/egress-bandwidth", "20M"}};
    const PodNetwork neighbour = MakePod();
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    const auto other = cni->Add(ctx, neighbour);
    ASSERT_TRUE(other.ok()) << other.status();
    EXPECT_EQ(ExecIn(pod.netns_path, {"/bin/cat", "/proc/sys/net/core/somaxconn"}), "789\n");
    EXPECT_NE(Exec({"/usr/sbin/iptables", "-S"}).find(result->ips[0]), std::string::npos);
    const std::string limits = Exec({"/usr/sbin/tc", "qdisc", "show"});
    EXPECT_NE(limits.find("rate 10Mbit"), std::string::npos) << limits;
    EXPECT_NE(limits.find("rate 20Mbit"), std::string::npos) << limits;
    UniqueFd listener;
    In(neighbour.netns_path, [&] {
      listener = ListenTcp(other->ips[0], 80);
      return true;
    });
    EXPECT_TRUE(In(pod.netns_path, [&] { return Connects(other->ips[0], 80); })) << "pod to pod";
    const UniqueFd on_host = ListenTcp("10.202.0.1", 7002);
    EXPECT_TRUE(In(pod.netns_path, [] { return Connects("10.202.0.1", 7002); })) << "pod to host";

    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    ASSERT_TRUE(cni->Del(ctx, neighbour).ok());
    EXPECT_EQ(Exec({"/usr/sbin/iptables", "-S"}).find(result->ips[0] + "/"), std::string::npos);
    EXPECT_EQ(Exec({"/usr/sbin/tc", "qdisc", "show"}).find("tbf"), std::string::npos);
    EXPECT_EQ(HostVeths(), 0);
    EXPECT_TRUE(Reserved("chain").empty());
  });
}

TEST_P(CniRealTest, FailureOfALaterPluginLeavesNothing) {
  OnHost([&] {
    ConfigureChain({{{"type", "bridge"}, {"bridge", "br-bad"}, {"ipam", Ipam()}},
                    {{"type", "tuning"}, {"sysctl", {{"net.core.no_such_thing", "1"}}}}});
    Context ctx;
    const absl::Status status = MakeCni()->Add(ctx, MakePod()).status();
    EXPECT_NE(Message(status).find("plugin tuning of network chain (ADD)"), std::string::npos)
        << status;
    EXPECT_EQ(HostVeths(), 0);
    EXPECT_TRUE(Reserved("chain").empty());
    EXPECT_TRUE(CacheFiles().empty());
  });
}

TEST_P(CniRealTest, AddressesThatThePodChooses) {
  OnHost([&] {
    ConfigureChain({{{"type", "bridge"},
                     {"bridge", "br-own"},
                     {"capabilities", {{"ips", true}, {"mac", true}}},
                     {"ipam", Ipam()}}});
    const auto cni = MakeCni();
    PodNetwork pod = MakePod();
    pod.static_ips = {"10.202.0.77"};
    pod.mac = "02:42:ac:11:00:4d";
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->ips, std::vector<std::string>{"10.202.0.77"});
    EXPECT_NE(ExecIn(pod.netns_path, {kIp, "link", "show", "eth0"}).find(pod.mac),
              std::string::npos);
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
  });
}

TEST_P(CniRealTest, CheckSeesWhatIsMissing) {
  OnHost([&] {
    ConfigureChain({{{"type", "bridge"}, {"bridge", "br-check"}, {"ipam", Ipam()}}});
    const auto cni = MakeCni();
    const PodNetwork pod = MakePod();
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(cni->Check(ctx, pod).ok()) << cni->Check(ctx, pod);
    ExecIn(pod.netns_path, {kIp, "addr", "flush", "dev", "eth0"});
    EXPECT_TRUE(absl::IsInternal(cni->Check(ctx, pod)));
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
  });
}

// What Debian 12 has is older than the newest version: the node says so before the first pod.
TEST_P(CniRealTest, PluginsAreTooOldForTheNetwork) {
  OnHost([&] {
    Configure("10-new.conflist",
              R"({"cniVersion":"1.1.0","name":"new","plugins":[{"type":"bridge"}]})");
    const std::string versions = ExecVersion(
        PathExists("/opt/cni/bin/bridge") ? "/opt/cni/bin/bridge" : "/usr/lib/cni/bridge");
    if (versions.find("\"1.1.0\"") != std::string::npos) {
      return;  // newer plugins than Debian 12's
    }
    const absl::Status status = MakeCni()->Ready();
    EXPECT_NE(Message(status).find("does not know CNI 1.1.0"), std::string::npos) << status;
  });
}

TEST_P(CniRealTest, PoolIsEmpty) {
  OnHost([&] {
    config_.default_bridge_subnet = "10.201.0.0/30";  // the gateway and one pod
    const auto cni = MakeCni();
    const PodNetwork first = MakePod();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, first).ok());
    const absl::Status status = cni->Add(ctx, MakePod()).status();
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_NE(Message(status).find("plugin bridge of network br-test (ADD)"), std::string::npos);
    EXPECT_NE(Message(status).find("no IP addresses available"), std::string::npos) << status;
    EXPECT_EQ(HostVeths(), 1);
    EXPECT_EQ(Reserved("br-test").size(), 1U);
    ASSERT_TRUE(cni->Del(ctx, first).ok());
    const PodNetwork third = MakePod();
    EXPECT_TRUE(cni->Add(ctx, third).ok());
    EXPECT_TRUE(cni->Del(ctx, third).ok());
  });
}

TEST_P(CniRealTest, PodsSideBySide) {
  OnHost([&] {
    const auto cni = MakeCni();
    constexpr size_t kPods = 6;
    std::vector<PodNetwork> pods;
    for (size_t i = 0; i < kPods; ++i) {
      pods.push_back(MakePod());
    }
    std::vector<absl::StatusOr<NetworkResult>> results(kPods, absl::UnknownError("not run"));
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kPods; ++i) {
      threads.emplace_back([&, i] {
        Context ctx;
        results[i] = cni->Add(ctx, pods[i]);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    std::set<std::string> ips;
    for (const auto& result : results) {
      ASSERT_TRUE(result.ok()) << result.status();
      ips.insert(result->ips[0]);
    }
    EXPECT_EQ(ips.size(), kPods);
    EXPECT_EQ(cni->CachedSandboxes()->size(), kPods);
    for (const PodNetwork& pod : pods) {
      Context ctx;
      EXPECT_TRUE(cni->Del(ctx, pod).ok());
    }
    EXPECT_TRUE(Reserved("br-test").empty());
  });
}

}  // namespace
}  // namespace davit::network
