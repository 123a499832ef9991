// SPDX-License-Identifier: Apache-2.0
//
// With packets: a node and another host, each a network namespace, and pods of the real bridge
// plugin in a network without portmap.
#include "network/host_ports/host_ports.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/namespace.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "network/result.h"
#include "network/test_util.h"
#include "network/traffic.h"

namespace davit::network {
namespace {

using nlohmann::json;

class HostPortsTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (!PathExists("/usr/lib/cni/bridge") && !PathExists("/opt/cni/bin/bridge")) {
      GTEST_SKIP() << "needs the package containernetworking-plugins";
    }
    if (!FindProgram("nft").ok()) {
      GTEST_SKIP() << "needs the package nftables";
    }
  }

  // OnHost, with another host on a cable and a network of both families for pods.
  void OnNode(const std::function<void()>& body) {
    OnHost([&] {
      outside_ = MakeOutside();
      json bridge = {{"type", "bridge"},
                     {"bridge", "br-hp"},
                     {"isGateway", true},
                     {"ipMasq", true},
                     {"hairpinMode", true}};
      bridge["ipam"] = {
          {"type", "host-local"},
          {"dataDir", Path("ipam")},
          {"ranges", json::array({json::array({json{{"subnet", "10.203.0.0/24"}}}),
                                  json::array({json{{"subnet", "fd00:203::/64"}}})})},
          {"routes", json::array({json{{"dst", "0.0.0.0/0"}}, json{{"dst", "::/0"}}})}};
      Configure("10-net.conflist", DumpJson({{"cniVersion", "1.0.0"},
                                             {"name", "hostports"},
                                             {"plugins", json::array({bridge})}}));
      cni_ = MakeCni();
      body();
      cni_.reset();
    });
  }

  struct Running {
    PodNetwork network;
    PublishedPod published;
    std::string ip;
    std::string ip6;
  };

  Running AddPod(std::vector<PortMapping> ports) {
    Running pod;
    pod.network = MakePod();
    pod.network.port_mappings = ports;
    Context ctx;
    const auto result = cni_->Add(ctx, pod.network);
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->publishes_ports);
    EXPECT_EQ(result->ips.size(), 2U);
    pod.ip = result->ips.at(0);
    pod.ip6 = result->ips.at(1);
    pod.published = {pod.network.sandbox_id, "default/web", std::move(ports),
                     *PodAddresses(result->json)};
    return pod;
  }

  UniqueFd Listen(const Running& pod, const std::string& ip, int port) {
    UniqueFd fd;
    In(pod.network.netns_path, [&] {
      fd = ListenTcp(ip, port);
      return true;
    });
    return fd;
  }

  static absl::Status Publish(HostPorts& ports, const Running& pod) {
    Context ctx;
    return ports.Publish(ctx, pod.published);
  }
  static void Withdraw(HostPorts& ports, const Running& pod) {
    Context ctx;
    const absl::Status status = ports.Withdraw(ctx, pod.published.id);
    EXPECT_TRUE(status.ok()) << status;
  }
  static bool TableExists() {
    return Exec({"/usr/sbin/nft", "list", "tables"}).find("davit_hostports") != std::string::npos;
  }

  std::string outside_;
  std::unique_ptr<Cni> cni_;
};

TEST_F(HostPortsTest, LeadToThePod) {
  OnNode([&] {
    HostPorts ports;
    const Running pod = AddPod({{8080, 80, "tcp", ""}});
    const Running neighbour = AddPod({});
    const UniqueFd four = Listen(pod, "0.0.0.0", 80);
    EXPECT_FALSE(In(outside_, [] { return Connects(kNode, 8080); }));
    ASSERT_TRUE(Publish(ports, pod).ok()) << Publish(ports, pod);

    EXPECT_TRUE(In(outside_, [] { return Connects(kNode, 8080); }));
    EXPECT_EQ(AcceptedFrom(four.get()), "192.0.2.2") << "others keep their address";
    EXPECT_TRUE(Connects(kNode, 8080)) << "the node itself";
    EXPECT_NE(AcceptedFrom(four.get()), "");
    EXPECT_TRUE(Connects("127.0.0.1", 8080));
    EXPECT_EQ(AcceptedFrom(four.get()), "10.203.0.1");
    EXPECT_TRUE(Connects("10.203.0.1", 8080)) << "the bridge's address";
    EXPECT_NE(AcceptedFrom(four.get()), "");
    EXPECT_TRUE(In(neighbour.network.netns_path, [] { return Connects(kNode, 8080); }));
    EXPECT_EQ(AcceptedFrom(four.get()), "10.203.0.1") << "or the answer would go past the node";
    EXPECT_TRUE(In(pod.network.netns_path, [] { return Connects(kNode, 8080); })) << "hairpin";

    const UniqueFd six = Listen(pod, pod.ip6, 80);
    EXPECT_TRUE(In(outside_, [] { return Connects(kNode6, 8080); }));
    EXPECT_EQ(AcceptedFrom(six.get()), "2001:db8::2");
    EXPECT_TRUE(Connects(kNode6, 8080));
    EXPECT_TRUE(In(neighbour.network.netns_path, [] { return Connects(kNode6, 8080); }));
    EXPECT_TRUE(In(pod.network.netns_path, [] { return Connects(kNode6, 8080); })) << "hairpin";

    Withdraw(ports, pod);
    EXPECT_FALSE(In(outside_, [] { return Connects(kNode, 8080); }));
    EXPECT_FALSE(Connects("127.0.0.1", 8080));
    EXPECT_FALSE(TableExists());
    EXPECT_FALSE(ports.MayDiffer());
    Withdraw(ports, pod);
  });
}

TEST_F(HostPortsTest, HostAddressIsHonoured) {
  OnNode([&] {
    HostPorts ports;
    Exec({kIp, "addr", "add", "192.0.2.7/24", "dev", "out0"});
    const Running one = AddPod({{8080, 80, "tcp", kNode}});
    const Running two = AddPod({{8080, 80, "tcp", "192.0.2.7"}, {8081, 80, "tcp", "127.0.0.1"}});
    const UniqueFd first = Listen(one, "0.0.0.0", 80);
    const UniqueFd second = Listen(two, "0.0.0.0", 80);
    ASSERT_TRUE(Publish(ports, one).ok());
    ASSERT_TRUE(Publish(ports, two).ok());
    EXPECT_TRUE(In(outside_, [] { return Connects(kNode, 8080); }));
    EXPECT_EQ(AcceptedFrom(first.get()), "192.0.2.2");
    EXPECT_TRUE(In(outside_, [] { return Connects("192.0.2.7", 8080); }));
    EXPECT_EQ(AcceptedFrom(second.get()), "192.0.2.2");
    EXPECT_FALSE(Connects("127.0.0.1", 8080));
    EXPECT_TRUE(Connects("127.0.0.1", 8081));
    EXPECT_FALSE(In(outside_, [] { return Connects(kNode, 8081); }));
  });
}

TEST_F(HostPortsTest, UdpConversationsGoWhereThePodIs) {
  OnNode([&] {
    HostPorts ports;
    const Running one = AddPod({{5300, 53, "udp", ""}});
    Running two = AddPod({{5300, 53, "udp", ""}});
    UniqueFd client;
    UniqueFd first;
    UniqueFd second;
    In(outside_, [&] {
      client = OpenUdp(AF_INET);
      return true;
    });
    In(one.network.netns_path, [&] {
      first = OpenUdp(AF_INET, "0.0.0.0", 53);
      return true;
    });
    In(two.network.netns_path, [&] {
      second = OpenUdp(AF_INET, "0.0.0.0", 53);
      return true;
    });
    const UniqueFd node = OpenUdp(AF_INET, "0.0.0.0", 5300);
    // A conversation with the node, which the kernel remembers.
    ASSERT_TRUE(Converse(client.get(), kNode, 5300, node.get()));
    ASSERT_TRUE(Publish(ports, one).ok());
    EXPECT_TRUE(Converse(client.get(), kNode, 5300, first.get()));
    const UniqueFd local = OpenUdp(AF_INET);
    EXPECT_TRUE(Converse(local.get(), "127.0.0.1", 5300, first.get()));
    Withdraw(ports, one);
    EXPECT_TRUE(Converse(client.get(), kNode, 5300, node.get()));
    ASSERT_TRUE(Publish(ports, two).ok());
    EXPECT_TRUE(Converse(client.get(), kNode, 5300, second.get()));
  });
}

uint32_t Crc32c(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
    }
  }
  return ~crc;
}

// What opens an association, to a port: the kernel here may have no SCTP of its own.
std::string SctpInit(uint16_t port) {
  std::string packet = {'\x30', '\x39', static_cast<char>(port >> 8), static_cast<char>(port)};
  packet += std::string(8, '\0');                // tag and checksum
  packet += std::string("\x01\x00\x00\x14", 4);  // INIT of 20 bytes
  packet += std::string("\x00\x00\x00\x01", 4);  // its tag
  packet += std::string("\x00\x01\x00\x00", 4);  // window
  packet += std::string("\x00\x01\x00\x01", 4);  // streams
  packet += std::string("\x00\x00\x00\x01", 4);  // first number
  const uint32_t crc = Crc32c(packet);
  std::memcpy(packet.data() + 8, &crc, sizeof(crc));
  return packet;
}

TEST_F(HostPortsTest, Sctp) {
  OnNode([&] {
    HostPorts ports;
    const Running pod = AddPod({{9000, 90, "sctp", ""}});
    ASSERT_TRUE(Publish(ports, pod).ok());
    UniqueFd receiver;
    In(pod.network.netns_path, [&] {
      receiver = UniqueFd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP));
      return true;
    });
    In(outside_, [&] {
      const UniqueFd sender(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP));
      sockaddr_in node{};
      node.sin_family = AF_INET;
      node.sin_addr.s_addr = htonl(0xC0000201);  // kNode
      const std::string packet = SctpInit(9000);
      EXPECT_EQ(sendto(sender.get(), packet.data(), packet.size(), 0,
                       reinterpret_cast<const sockaddr*>(&node), sizeof(node)),
                static_cast<ssize_t>(packet.size()));
      return true;
    });
    pollfd waiting{receiver.get(), POLLIN, 0};
    ASSERT_EQ(poll(&waiting, 1, 5000), 1);
    std::array<uint8_t, 128> buffer{};
    ASSERT_GE(recv(receiver.get(), buffer.data(), buffer.size(), 0), 24);
    EXPECT_EQ(buffer[22] * 256 + buffer[23], 90) << "the port, after an IP header of 20 bytes";
  });
}

TEST_F(HostPortsTest, OnePodForAPort) {
  OnNode([&] {
    HostPorts ports;
    const Running one = AddPod({{8080, 80, "tcp", ""}});
    Running two = AddPod({{8080, 81, "tcp", kNode}, {8090, 81, "tcp", ""}});
    two.published.name = "default/other";
    ASSERT_TRUE(Publish(ports, one).ok());
    const absl::Status refused = Publish(ports, two);
    EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
    EXPECT_NE(Message(refused).find("192.0.2.1:8080/tcp is taken by pod default/web"),
              std::string::npos)
        << refused;
    const UniqueFd second = Listen(two, "0.0.0.0", 81);
    EXPECT_FALSE(Connects(kNode, 8090)) << "all or nothing";
    Withdraw(ports, two);
    Withdraw(ports, one);
    EXPECT_TRUE(Publish(ports, two).ok());
    EXPECT_TRUE(Connects(kNode, 8090));
  });
}

TEST_F(HostPortsTest, RestoredWhenFlushed) {
  OnNode([&] {
    HostPorts ports;
    Context ctx;
    EXPECT_FALSE(ports.MayDiffer());
    const Running pod = AddPod({{8080, 80, "tcp", ""}});
    const UniqueFd listener = Listen(pod, "0.0.0.0", 80);
    ASSERT_TRUE(Publish(ports, pod).ok());
    ASSERT_TRUE(ports.Check(ctx).ok());
    EXPECT_FALSE(ports.MayDiffer()) << "nothing has changed";
    // A change of others' rules is none of ours.
    Exec({"/usr/sbin/nft", "add", "table", "inet", "other"});
    EXPECT_TRUE(ports.MayDiffer());
    ASSERT_TRUE(ports.Check(ctx).ok());
    EXPECT_FALSE(ports.MayDiffer());
    for (const std::string harm :
         {"flush ruleset", "flush table inet davit_hostports",
          "flush map inet davit_hostports ports4", "delete table inet davit_hostports"}) {
      Exec(Split("/usr/sbin/nft " + harm, ' '));
      EXPECT_FALSE(In(outside_, [] { return Connects(kNode, 8080); })) << harm;
      EXPECT_TRUE(ports.MayDiffer());
      ASSERT_TRUE(ports.Check(ctx).ok());
      EXPECT_TRUE(In(outside_, [] { return Connects(kNode, 8080); })) << harm;
    }
  });
}

TEST_F(HostPortsTest, OutliveTheDaemon) {
  OnNode([&] {
    const Running stays = AddPod({{8080, 80, "tcp", ""}});
    const Running goes = AddPod({{8081, 80, "tcp", ""}});
    const UniqueFd one = Listen(stays, "0.0.0.0", 80);
    const UniqueFd two = Listen(goes, "0.0.0.0", 80);
    {
      HostPorts ports;
      ASSERT_TRUE(Publish(ports, stays).ok());
      ASSERT_TRUE(Publish(ports, goes).ok());
    }
    EXPECT_TRUE(Connects(kNode, 8080)) << "no daemon runs";
    HostPorts again;
    Context ctx;
    again.Load({stays.published});
    EXPECT_TRUE(again.MayDiffer());
    ASSERT_TRUE(again.Check(ctx).ok());
    EXPECT_TRUE(Connects(kNode, 8080));
    EXPECT_FALSE(Connects(kNode, 8081));
    HostPorts empty;
    empty.Load({});
    ASSERT_TRUE(empty.Check(ctx).ok());
    EXPECT_FALSE(TableExists());
    EXPECT_FALSE(empty.MayDiffer());
  });
}

// CVE-2020-8558: with route_localnet on, neighbours reach what listens on 127.0.0.1 of the node.
TEST_F(HostPortsTest, LoopbackOfTheNodeStaysOutOfReach) {
  OnNode([&] {
    HostPorts ports;
    Context ctx;
    const Running pod = AddPod({{8080, 80, "tcp", ""}});
    ASSERT_TRUE(Publish(ports, pod).ok());
    const UniqueFd secret = ListenTcp("127.0.0.1", 7777);
    const std::string& netns = pod.network.netns_path;
    ExecIn(netns, {kIp, "addr", "del", "127.0.0.1/8", "dev", "lo"});
    ASSERT_TRUE(In(netns, [] {
      const std::string file = "/proc/sys/net/ipv4/conf/eth0/route_localnet";
      const auto fd = Open(file, O_WRONLY);
      return fd.ok() && WriteFd(fd->get(), "1", file).ok();
    }));
    ExecIn(netns, {kIp, "route", "add", "127.0.0.1/32", "via", "10.203.0.1", "src", pod.ip});
    const auto reaches = [&] {
      return In(netns, [] { return Connects("127.0.0.1", 7777, 1000); });
    };
    EXPECT_FALSE(reaches());
    Exec({"/usr/sbin/nft", "flush", "ruleset"});
    EXPECT_TRUE(reaches()) << "the test is worth something";
    ASSERT_TRUE(ports.Check(ctx).ok());
    EXPECT_FALSE(reaches());
  });
}

TEST_F(HostPortsTest, ManyAtOnce) {
  OnNode([&] {
    HostPorts ports;
    const Running pod = AddPod({});
    const UniqueFd listener = Listen(pod, "0.0.0.0", 80);
    Context ctx;
    constexpr int kPods = 300;
    for (int i = 0; i < kPods; i += 60) {
      PublishedPod many = pod.published;
      many.id += std::to_string(i);
      for (int j = 0; j < 60; ++j) {
        many.ports.push_back({20000 + i + j, 80, "tcp", ""});
      }
      ASSERT_TRUE(ports.Publish(ctx, many).ok());
    }
    EXPECT_TRUE(In(outside_, [] { return Connects(kNode, 20000); }));
    EXPECT_TRUE(In(outside_, [] { return Connects(kNode, 20299); }));
    ASSERT_TRUE(ports.Check(ctx).ok());
    EXPECT_FALSE(ports.MayDiffer());
  });
}

// The kernel as this thread sees it from now on.
void LoseNetfilter() {
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                                seccomp_release);
  ASSERT_EQ(
      seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), 2,
                       SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_EQ, NETLINK_NETFILTER)),
      0);
  ASSERT_EQ(seccomp_load(filter.get()), 0);
}

TEST(HostPorts, AKernelWithoutNftablesIsSaidOnce) {
  testing::internal::CaptureStderr();
  std::thread([] {
    LoseNetfilter();
    HostPorts ports;
    Context ctx;
    ports.Load({});
    EXPECT_TRUE(ports.MayDiffer());
    EXPECT_TRUE(ports.Check(ctx).ok());
    EXPECT_FALSE(ports.MayDiffer()) << "nobody asks again";
    for (int i = 0; i < 3; ++i) {
      const PublishedPod pod = {
          std::to_string(i), "default/web", {{8080, 80, "tcp", ""}}, {"10.1.2.3/16"}};
      const absl::Status refused = ports.Publish(ctx, pod);
      EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
      EXPECT_NE(Message(refused).find("CONFIG_NF_TABLES"), std::string::npos) << refused;
      EXPECT_NE(Message(refused).find("network.host_ports"), std::string::npos) << refused;
      EXPECT_TRUE(ports.Withdraw(ctx, pod.id).ok());
      EXPECT_TRUE(ports.Check(ctx).ok());
    }
    EXPECT_FALSE(ports.MayDiffer());
    const PublishedPod without = {"other", "default/other", {}, {"10.1.2.4/16"}};
    EXPECT_TRUE(ports.Publish(ctx, without).ok());
  }).join();
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("pods cannot have host ports"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

}  // namespace
}  // namespace davit::network
