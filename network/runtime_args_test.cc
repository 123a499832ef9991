// SPDX-License-Identifier: Apache-2.0
#include "network/runtime_args.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/status.h"

namespace davit::network {
namespace {

using nlohmann::json;

json Arg(const PodNetwork& pod, const std::string& capability) {
  const auto args = CapabilityArgs(pod);
  EXPECT_TRUE(args.ok()) << args.status();
  if (!args.ok() || !args->contains(capability)) {
    return json();
  }
  return ParseJson(args->at(capability), capability).value_or(json("broken"));
}

TEST(RuntimeArgs, EmptyPodHasNone) {
  const auto args = CapabilityArgs(PodNetwork());
  ASSERT_TRUE(args.ok()) << args.status();
  EXPECT_TRUE(args->empty());
}

TEST(RuntimeArgs, PassesPortsWithHostPortOnly) {
  PodNetwork pod;
  pod.port_mappings = {{0, 80, "tcp", ""}, {8080, 80, "tcp", ""}, {53, 53, "udp", "127.0.0.1"}};
  EXPECT_EQ(Arg(pod, "portMappings"),
            json::parse(R"([{"hostPort":8080,"containerPort":80,"protocol":"tcp"},
                            {"hostPort":53,"containerPort":53,"protocol":"udp",
                             "hostIP":"127.0.0.1"}])"));
}

TEST(RuntimeArgs, RefusesBadPorts) {
  const std::vector<PortMapping> bad = {{70000, 80, "tcp", ""},
                                        {80, 0, "tcp", ""},
                                        {80, 70000, "tcp", ""},
                                        {80, 80, "icmp", ""},
                                        {80, 80, "tcp", "localhost"}};
  for (const PortMapping& port : bad) {
    PodNetwork pod;
    pod.port_mappings = {port};
    EXPECT_TRUE(absl::IsInvalidArgument(CapabilityArgs(pod).status()));
  }
}

TEST(RuntimeArgs, ReadsBandwidthAnnotations) {
  PodNetwork pod;
  pod.annotations = {{"kubernetes.io/ingress-bandwidth", "10M"},
                     {"kubernetes.io/egress-bandwidth", "512Ki"}};
  const json bandwidth = Arg(pod, "bandwidth");
  EXPECT_EQ(bandwidth["ingressRate"], 10'000'000);
  EXPECT_EQ(bandwidth["egressRate"], 524'288);
  EXPECT_GT(bandwidth["ingressBurst"], 0);
  for (const char* bad : {"fast", "999", "2P", "-5M", "", "1Q"}) {
    pod.annotations["kubernetes.io/egress-bandwidth"] = bad;
    const absl::Status status = CapabilityArgs(pod).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_NE(Message(status).find("kubernetes.io/egress-bandwidth"), std::string::npos);
  }
}

TEST(RuntimeArgs, PassesDnsAndCgroup) {
  PodNetwork pod;
  pod.dns_servers = {"10.0.0.10"};
  pod.dns_searches = {"svc.local"};
  pod.cgroup_path = "/kubepods/pod1";
  EXPECT_EQ(Arg(pod, "dns"), (json{{"servers", {"10.0.0.10"}}, {"searches", {"svc.local"}}}));
  EXPECT_EQ(Arg(pod, "cgroupPath"), "/kubepods/pod1");
}

TEST(RuntimeArgs, ParsesQuantities) {
  const std::vector<std::pair<const char*, int64_t>> good = {
      {"0", 0},         {"5", 5},         {"1500m", 2},
      {"1k", 1000},     {"0.1M", 100000}, {"1.5Gi", 1610612736},
      {"3e6", 3000000}, {"2E3", 2000},    {"1E", 1000000000000000000},
      {"+7", 7}};
  for (const auto& [text, value] : good) {
    const auto parsed = ParseQuantity(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, value) << text;
  }
  for (const char* bad : {"", "M", "1 M", "1.2.3", "--1", "1e99", "100E", "nan", "0x10", "1K"}) {
    EXPECT_FALSE(ParseQuantity(bad).ok()) << bad;
  }
}

TEST(RuntimeArgs, JoinsPodArgs) {
  PodNetwork pod;
  pod.sandbox_id = "abc";
  pod.name = "web";
  pod.name_space = "prod";
  pod.uid = "u1";
  const auto args = PodArgs(pod);
  ASSERT_TRUE(args.ok()) << args.status();
  EXPECT_EQ(JoinArgs(*args),
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=prod;K8S_POD_NAME=web;"
            "K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u1");
  pod.name = "web;K8S_POD_NAMESPACE=kube-system";
  EXPECT_TRUE(absl::IsInvalidArgument(PodArgs(pod).status()));
}

TEST(RuntimeArgs, ChosenAddresses) {
  PodNetwork pod;
  pod.static_ips = {"10.0.0.9", "fd00::9/64"};
  pod.mac = "02:aB:00:00:00:01";
  pod.aliases = {"web", "db-1.example"};
  const auto args = CapabilityArgs(pod);
  ASSERT_TRUE(args.ok()) << args.status();
  EXPECT_EQ(args->at("ips"), R"(["10.0.0.9","fd00::9/64"])");
  EXPECT_EQ(args->at("mac"), R"("02:aB:00:00:00:01")");
  EXPECT_EQ(args->at("aliases"), R"(["web","db-1.example"])");
  for (const char* mac : {"02", "02:00:00:00:00:0g", "02:00:00:00:00:000", "01:00:00:00:00:01"}) {
    PodNetwork bad;
    bad.mac = mac;
    EXPECT_TRUE(absl::IsInvalidArgument(CapabilityArgs(bad).status())) << mac;
  }
  PodNetwork bad;
  bad.static_ips = {"10.0.0.256"};
  EXPECT_TRUE(absl::IsInvalidArgument(CapabilityArgs(bad).status()));
  bad.static_ips = {};
  bad.aliases = {"a b"};
  EXPECT_TRUE(absl::IsInvalidArgument(CapabilityArgs(bad).status()));
}

}  // namespace
}  // namespace davit::network
