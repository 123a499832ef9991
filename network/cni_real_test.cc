// SPDX-License-Identifier: Apache-2.0
//
// The plugins of the distribution, in a network namespace that plays the host.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/namespace.h"
#include "base/status.h"
#include "network/test_util.h"

namespace davit::network {
namespace {

using nlohmann::json;

constexpr char kIp[] = "/usr/sbin/ip";

sockaddr_in Address(const std::string& ip, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(inet_pton(AF_INET, ip.c_str(), &address.sin_addr), 1) << ip;
  return address;
}

// A socket stays in the namespace where it was made.
UniqueFd ListenHere(const std::string& ip, int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Address(ip, port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
      << ip << ": " << ErrnoText(errno);
  EXPECT_EQ(listen(fd.get(), 8), 0);
  return fd;
}

bool ConnectsHere(const std::string& ip, int port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_in address = Address(ip, port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return true;
  }
  pollfd waiting{fd.get(), POLLOUT, 0};
  int error = 0;
  socklen_t size = sizeof(error);
  return errno == EINPROGRESS && poll(&waiting, 1, 5000) == 1 &&
         getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

class CniRealTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (!PathExists("/usr/lib/cni/bridge") && !PathExists("/opt/cni/bin/bridge")) {
      GTEST_SKIP() << "needs the package containernetworking-plugins";
    }
  }
  json Ipam() const {
    return {{"type", "host-local"}, {"subnet", "10.202.0.0/24"}, {"dataDir", Path("ipam")}};
  }
  void ExpectAdded(const PodNetwork& pod, const NetworkResult& result) {
    ASSERT_EQ(result.ips.size(), 1U);
    const std::string addresses = ExecIn(pod.netns_path, {kIp, "-o", "addr", "show"});
    EXPECT_NE(addresses.find("eth0    inet " + result.ips[0] + "/"), std::string::npos)
        << addresses;
    EXPECT_NE(addresses.find("127.0.0.1"), std::string::npos) << addresses;
    EXPECT_NE(ExecIn(pod.netns_path, {kIp, "route"}).find("default via"), std::string::npos);
  }
  // Veth ends on the host.
  static int HostVeths() {
    const std::string links = Exec({kIp, "-o", "link", "show", "type", "veth"});
    return static_cast<int>(std::count(links.begin(), links.end(), '\n'));
  }
};

TEST_F(CniRealTest, DefaultBridge) {
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
    const UniqueFd listener = ListenHere("10.201.0.1", 7001);
    EXPECT_TRUE(RunInNetNs(pod.netns_path, [] {
                  return ConnectsHere("10.201.0.1", 7001) ? absl::OkStatus()
                                                          : Internal("no connection");
                }).ok());

    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_TRUE(Reserved("br-test").empty());
    EXPECT_TRUE(CacheFiles().empty());
    EXPECT_EQ(HostVeths(), 0);
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
  });
}

TEST_F(CniRealTest, HostPort) {
  OnHost([&] {
    const auto cni = MakeCni();
    PodNetwork pod = MakePod();
    pod.port_mappings = {{18080, 80, "tcp", ""}};
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    UniqueFd listener;
    ASSERT_TRUE(RunInNetNs(pod.netns_path, [&] {
                  listener = ListenHere(result->ips[0], 80);
                  return absl::OkStatus();
                }).ok());
    EXPECT_TRUE(ConnectsHere("10.201.0.1", 18080));
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_EQ(Exec({"/usr/sbin/iptables", "-w", "-t", "nat", "-S"}).find("18080"),
              std::string::npos);
    EXPECT_FALSE(ConnectsHere("10.201.0.1", 18080));
  });
}

TEST_F(CniRealTest, DelAfterTheNamespaceIsGone) {
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

TEST_F(CniRealTest, DelAfterTheConfigurationChanged) {
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

TEST_F(CniRealTest, SinglePtpConfiguration) {
  OnHost([&] {
    json ipam = Ipam();
    ipam["routes"] = json::array({json{{"dst", "0.0.0.0/0"}}});
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

TEST_F(CniRealTest, PoolIsEmpty) {
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

TEST_F(CniRealTest, PodsSideBySide) {
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
