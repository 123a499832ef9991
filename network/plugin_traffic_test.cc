// SPDX-License-Identifier: Apache-2.0
//
// What the plugins of the distribution do, seen by packets: a node, another host on a cable, and
// pods, each a network namespace.
#include <sys/socket.h>

#include <chrono>
#include <limits>

#include "base/json.h"
#include "base/status.h"
#include "network/real_plugins.h"
#include "network/traffic.h"

namespace davit::network {
namespace {

using nlohmann::json;

constexpr char kBridgeIp[] = "10.202.0.1";  // of the node, towards pods
constexpr char kBridgeIp6[] = "fd00:202::1";

class PluginTrafficTest : public RealPluginsTest {
 protected:
  struct Pod {
    PodNetwork network;
    std::string ip;
    std::string ip6;  // where the network has both
  };

  // OnHost, with the other host.
  void OnNode(const std::function<void()>& body) {
    OnHost([&] {
      outside_ = MakeOutside();
      body();
      cni_.reset();
    });
  }
  static json Bridge(const json& ipam, bool masquerade = false) {
    return {{"type", "bridge"},
            {"bridge", "br-chain"},
            {"isGateway", true},
            {"ipMasq", masquerade},
            {"ipam", ipam}};
  }
  void Use(const std::vector<json>& plugins) {
    ConfigureChain(plugins);
    cni_ = MakeCni();
  }
  Pod AddPod(const PodNetwork& network) {
    Pod pod{.network = network, .ip = {}, .ip6 = {}};
    Context ctx;
    const auto result = cni_->Add(ctx, network);
    EXPECT_TRUE(result.ok()) << result.status();
    if (result.ok()) {
      EXPECT_FALSE(result->ips.empty());
      pod.ip = result->ips.front();
      pod.ip6 = result->ips.size() > 1 ? result->ips[1] : "";
    }
    return pod;
  }
  Pod AddPod() { return AddPod(MakePod()); }
  void Delete(const Pod& pod) {
    Context ctx;
    const absl::Status deleted = cni_->Del(ctx, pod.network);
    EXPECT_TRUE(deleted.ok()) << deleted;
  }
  static UniqueFd ListenIn(const std::string& netns, const std::string& ip, int port) {
    UniqueFd fd;
    In(netns, [&] {
      fd = ListenTcp(ip, port);
      return true;
    });
    return fd;
  }
  static bool ConnectsFrom(const std::string& netns, const std::string& ip, int port,
                           int how_long_ms = 5000) {
    return In(netns, [&] { return Connects(ip, port, how_long_ms); });
  }
  // The other host knows the way to pods, as a router in front of nodes does.
  void RouteToPods() {
    ExecIn(outside_, {kIp, "route", "add", "10.202.0.0/24", "via", kNode});
    ExecIn(outside_, {kIp, "route", "add", "fd00:202::/64", "via", kNode6});
  }

  std::string outside_;
  std::unique_ptr<Cni> cni_;
};

TEST_F(PluginTrafficTest, BridgeCarriesBothFamilies) {
  OnNode([&] {
    Use({Bridge(DualIpam(), /*masquerade=*/true)});
    const Pod pod = AddPod();
    const Pod neighbour = AddPod();
    const std::string& netns = pod.network.netns_path;
    for (const bool six : {false, true}) {
      const std::string& pod_ip = six ? pod.ip6 : pod.ip;
      const std::string& neighbour_ip = six ? neighbour.ip6 : neighbour.ip;
      const std::string outside = six ? kOutside6 : kOutside;
      const std::string gateway = six ? kBridgeIp6 : kBridgeIp;
      const UniqueFd beside = ListenIn(neighbour.network.netns_path, neighbour_ip, 80);
      EXPECT_TRUE(ConnectsFrom(netns, neighbour_ip, 80)) << "pod to pod";
      EXPECT_EQ(AcceptedFrom(beside.get()), pod_ip);
      const UniqueFd on_host = ListenTcp(gateway, 7002);
      EXPECT_TRUE(ConnectsFrom(netns, gateway, 7002)) << "pod to host";
      EXPECT_EQ(AcceptedFrom(on_host.get()), pod_ip);
      const UniqueFd own = ListenIn(netns, pod_ip, 80);
      EXPECT_TRUE(Connects(pod_ip, 80)) << "host to pod";
      EXPECT_EQ(AcceptedFrom(own.get()), gateway);
      const UniqueFd far = ListenIn(outside_, outside, 80);
      EXPECT_TRUE(ConnectsFrom(netns, outside, 80)) << "pod to the world";
      EXPECT_EQ(AcceptedFrom(far.get()), six ? kNode6 : kNode) << "in the node's name";
    }
    Delete(pod);
    Delete(neighbour);
    EXPECT_EQ(HostVeths(), 1) << "the cable";
  });
}

TEST_F(PluginTrafficTest, AddressesInTheOrderOfTheNetwork) {
  OnNode([&] {
    json ipam = DualIpam();
    std::swap(ipam["ranges"][0], ipam["ranges"][1]);
    Use({Bridge(ipam)});
    const Pod pod = AddPod();
    EXPECT_TRUE(pod.ip.starts_with("fd00:202::")) << pod.ip;
    EXPECT_TRUE(pod.ip6.starts_with("10.202.0.")) << pod.ip6;
    const UniqueFd one = ListenTcp(kBridgeIp, 7003);
    const UniqueFd two = ListenTcp(kBridgeIp6, 7003);
    EXPECT_TRUE(ConnectsFrom(pod.network.netns_path, kBridgeIp, 7003));
    EXPECT_TRUE(ConnectsFrom(pod.network.netns_path, kBridgeIp6, 7003));
    Delete(pod);
  });
}

TEST_F(PluginTrafficTest, SixAlone) {
  OnNode([&] {
    json ipam = DualIpam();
    ipam["ranges"].erase(0);
    ipam["routes"].erase(0);
    Use({Bridge(ipam)});
    RouteToPods();
    const Pod pod = AddPod();
    const Pod neighbour = AddPod();
    EXPECT_EQ(pod.ip6, "");
    const UniqueFd listener = ListenIn(neighbour.network.netns_path, neighbour.ip, 80);
    EXPECT_TRUE(ConnectsFrom(pod.network.netns_path, neighbour.ip, 80));
    EXPECT_EQ(AcceptedFrom(listener.get()), pod.ip);
    EXPECT_TRUE(ConnectsFrom(outside_, neighbour.ip, 80));
    EXPECT_EQ(AcceptedFrom(listener.get()), kOutside6);
    Delete(pod);
    Delete(neighbour);
    EXPECT_TRUE(Reserved("chain").empty());
  });
}

TEST_F(PluginTrafficTest, HostPortFromAnotherHost) {
  OnNode([&] {
    Use({Bridge(DualIpam(), /*masquerade=*/true),
         {{"type", "portmap"}, {"capabilities", {{"portMappings", true}}}}});
    PodNetwork wanted = MakePod();
    wanted.port_mappings = {{18080, 80, "tcp", ""}, {5300, 53, "udp", ""}};
    const Pod pod = AddPod(wanted);
    const UniqueFd four = ListenIn(pod.network.netns_path, pod.ip, 80);
    EXPECT_TRUE(ConnectsFrom(outside_, kNode, 18080));
    EXPECT_EQ(AcceptedFrom(four.get()), kOutside);
    EXPECT_TRUE(Connects(kBridgeIp, 18080)) << "the node itself";
    const UniqueFd six = ListenIn(pod.network.netns_path, pod.ip6, 80);
    EXPECT_TRUE(ConnectsFrom(outside_, kNode6, 18080));
    EXPECT_EQ(AcceptedFrom(six.get()), kOutside6);
    UniqueFd server;
    In(pod.network.netns_path, [&] {
      server = OpenUdp(AF_INET, pod.ip, 53);
      return true;
    });
    EXPECT_TRUE(In(outside_, [&] {
      return Converse(OpenUdp(AF_INET).get(), kNode, 5300, server.get());
    })) << "UDP";
    Delete(pod);
    for (const char* tables : {"/usr/sbin/iptables", "/usr/sbin/ip6tables"}) {
      EXPECT_EQ(Exec({tables, "-w", "-t", "nat", "-S"}).find("18080"), std::string::npos);
    }
    EXPECT_FALSE(ConnectsFrom(outside_, kNode, 18080));
  });
}

TEST_F(PluginTrafficTest, PtpIsRoutedByTheNode) {
  OnNode([&] {
    Use({{{"type", "ptp"}, {"ipMasq", true}, {"ipam", RoutedIpam()}}});
    const Pod pod = AddPod();
    const Pod neighbour = AddPod();
    const std::string& netns = pod.network.netns_path;
    const UniqueFd beside = ListenIn(neighbour.network.netns_path, neighbour.ip, 80);
    EXPECT_TRUE(ConnectsFrom(netns, neighbour.ip, 80)) << "pod to pod";
    EXPECT_EQ(AcceptedFrom(beside.get()), pod.ip);
    EXPECT_TRUE(Connects(neighbour.ip, 80)) << "host to pod";
    const UniqueFd on_host = ListenTcp(kBridgeIp, 7002);
    EXPECT_TRUE(ConnectsFrom(netns, kBridgeIp, 7002)) << "pod to host";
    EXPECT_EQ(AcceptedFrom(on_host.get()), pod.ip);
    const UniqueFd far = ListenIn(outside_, kOutside, 80);
    EXPECT_TRUE(ConnectsFrom(netns, kOutside, 80)) << "pod to the world";
    EXPECT_EQ(AcceptedFrom(far.get()), kNode);
    Delete(pod);
    Delete(neighbour);
  });
}

TEST_F(PluginTrafficTest, MacvlanPutsPodsOnTheCable) {
  OnNode([&] {
    ExecIn(outside_, {kIp, "addr", "add", "10.202.0.250/24", "dev", "eth0"});
    Use({{{"type", "macvlan"}, {"master", "out0"}, {"mode", "bridge"}, {"ipam", Ipam()}}});
    const Pod pod = AddPod();
    const Pod neighbour = AddPod();
    const std::string& netns = pod.network.netns_path;
    const UniqueFd far = ListenIn(outside_, "10.202.0.250", 80);
    EXPECT_TRUE(ConnectsFrom(netns, "10.202.0.250", 80));
    EXPECT_EQ(AcceptedFrom(far.get()), pod.ip);
    const UniqueFd own = ListenIn(netns, pod.ip, 80);
    EXPECT_TRUE(ConnectsFrom(outside_, pod.ip, 80));
    EXPECT_EQ(AcceptedFrom(own.get()), "10.202.0.250");
    EXPECT_TRUE(ConnectsFrom(neighbour.network.netns_path, pod.ip, 80)) << "pod to pod";
    EXPECT_EQ(AcceptedFrom(own.get()), neighbour.ip);
    Delete(pod);
    Delete(neighbour);
    EXPECT_TRUE(Reserved("chain").empty());
  });
}

// A node that forwards nothing by default, as Docker and many a firewall leave it.
TEST_F(PluginTrafficTest, FirewallLetsPodsThrough) {
  OnNode([&] {
    Exec({"/usr/sbin/iptables", "-w", "-P", "FORWARD", "DROP"});
    Exec({"/usr/sbin/ip6tables", "-w", "-P", "FORWARD", "DROP"});
    RouteToPods();
    const UniqueFd four = ListenIn(outside_, kOutside, 80);
    const UniqueFd six = ListenIn(outside_, kOutside6, 80);
    Use({Bridge(DualIpam())});
    const Pod blocked = AddPod();
    EXPECT_FALSE(ConnectsFrom(blocked.network.netns_path, kOutside, 80, 300));
    EXPECT_FALSE(ConnectsFrom(blocked.network.netns_path, kOutside6, 80, 300));
    Delete(blocked);

    Use({Bridge(DualIpam()), {{"type", "firewall"}, {"backend", "iptables"}}});
    const Pod pod = AddPod();
    EXPECT_TRUE(ConnectsFrom(pod.network.netns_path, kOutside, 80));
    EXPECT_EQ(AcceptedFrom(four.get()), pod.ip);
    EXPECT_TRUE(ConnectsFrom(pod.network.netns_path, kOutside6, 80));
    EXPECT_EQ(AcceptedFrom(six.get()), pod.ip6);
    const UniqueFd own = ListenIn(pod.network.netns_path, pod.ip, 80);
    EXPECT_FALSE(ConnectsFrom(outside_, pod.ip, 80, 300)) << "nobody has asked for that";
    Delete(pod);
    for (const char* tables : {"/usr/sbin/iptables", "/usr/sbin/ip6tables"}) {
      EXPECT_EQ(Exec({tables, "-w", "-S"}).find("10.202.0."), std::string::npos);
    }
  });
}

// Every packet of the pod shows what it is set to.
TEST_F(PluginTrafficTest, TuningIsInForce) {
  OnNode([&] {
    Use({Bridge(Ipam()),
         {{"type", "tuning"}, {"sysctl", {{"net.ipv4.ip_default_ttl", "7"}}}, {"mtu", 1300}}});
    const Pod pod = AddPod();
    const UniqueFd server = OpenUdp(AF_INET, kBridgeIp, 7004);
    In(pod.network.netns_path, [] {
      SendUdp(OpenUdp(AF_INET).get(), kBridgeIp, 7004);
      return true;
    });
    EXPECT_EQ(ReceivedTtl(server.get()), 7);
    EXPECT_NE(ExecIn(pod.network.netns_path, {kIp, "link", "show", "eth0"}).find("mtu 1300"),
              std::string::npos);
    EXPECT_NE(Exec({"/bin/cat", "/proc/sys/net/ipv4/ip_default_ttl"}), "7\n") << "the pod's alone";
    Delete(pod);
  });
}

// A pod with a second interface, which has the default route: what comes to the first one is
// answered through the first one.
TEST_F(PluginTrafficTest, SourceBasedRoutingAnswersWhereItWasAsked) {
  OnNode([&] {
    RouteToPods();
    Use({Bridge(RoutedIpam()), {{"type", "sbr"}}});
    const Pod pod = AddPod();
    const std::string& netns = pod.network.netns_path;
    const std::string elsewhere = MakePodNs();
    ExecIn(netns, {kIp, "link", "add", "net1", "type", "veth", "peer", "name", "eth0", "netns",
                   elsewhere});
    ExecIn(netns, {kIp, "addr", "add", "198.51.100.2/24", "dev", "net1"});
    ExecIn(netns, {kIp, "link", "set", "net1", "up"});
    ExecIn(elsewhere, {kIp, "link", "set", "eth0", "up"});
    ExecIn(netns,
           {kIp, "neigh", "add", "198.51.100.1", "lladdr", "02:00:00:00:00:01", "dev", "net1"});
    ExecIn(netns, {kIp, "route", "add", "default", "via", "198.51.100.1", "dev", "net1"});
    const UniqueFd listener = ListenIn(netns, "0.0.0.0", 80);
    EXPECT_TRUE(ConnectsFrom(outside_, pod.ip, 80));
    EXPECT_EQ(AcceptedFrom(listener.get()), kOutside);
    EXPECT_NE(ExecIn(netns, {kIp, "route", "get", kOutside}).find("dev net1"), std::string::npos)
        << "what the pod begins itself goes the other way";
    ExecIn(netns, {kIp, "rule", "del", "from", pod.ip});
    EXPECT_FALSE(ConnectsFrom(outside_, pod.ip, 80, 300)) << "the test is worth something";
    Delete(pod);
    EXPECT_EQ(HostVeths(), 1) << "the cable";
  });
}

// As the kubelet's annotations ask for it. A limit makes it slower, a busy machine does too: so
// only the least time that it may take is known. The burst goes through at once.
TEST_F(PluginTrafficTest, BandwidthIsLimitedInBothDirections) {
  OnNode([&] {
    using Seconds = std::chrono::duration<double>;
    constexpr size_t kBurst = std::numeric_limits<int32_t>::max() / 8;
    constexpr size_t kBytesPerSecond = 12'500'000;
    constexpr size_t kMore = kBytesPerSecond;
    constexpr Seconds kLeast(0.9 * kMore / kBytesPerSecond);
    Use({Bridge(Ipam()), {{"type", "bandwidth"}, {"capabilities", {{"bandwidth", true}}}}});
    PodNetwork wanted = MakePod();
    wanted.annotations = {{"kubernetes.io/ingress-bandwidth", "100M"},
                          {"kubernetes.io/egress-bandwidth", "100M"}};
    const Pod pod = AddPod(wanted);
    const UniqueFd in_pod = ListenIn(pod.network.netns_path, pod.ip, 80);
    const UniqueFd to_pod = ConnectTcp(pod.ip, 80);
    EXPECT_GE(Seconds(TimeToSend(to_pod.get(), AcceptTcp(in_pod.get()).get(), kBurst + kMore)),
              kLeast)
        << "ingress";
    const UniqueFd on_host = ListenTcp(kBridgeIp, 7005);
    UniqueFd from_pod;
    In(pod.network.netns_path, [&] {
      from_pod = ConnectTcp(kBridgeIp, 7005);
      return true;
    });
    EXPECT_GE(Seconds(TimeToSend(from_pod.get(), AcceptTcp(on_host.get()).get(), kBurst + kMore)),
              kLeast)
        << "egress";
    Delete(pod);
  });
}

}  // namespace
}  // namespace davit::network
