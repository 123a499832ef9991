// SPDX-License-Identifier: Apache-2.0
//
// Pods of the built-in bridge: that the plugin deletes them and the other way round, that packets
// reach whom they should, and that nothing stays behind whatever goes wrong.
#include "network/builtin/bridge.h"

#include <algorithm>
#include <iterator>
#include <regex>
#include <set>
#include <thread>

#include "base/status.h"
#include "network/builtin/bridge_fixture.h"
#include "network/traffic.h"

namespace davit::network {
namespace {

using nlohmann::json;

TEST_F(BuiltinBridgeTest, EachDeletesWhatTheOtherAdded) {
  ConfigureBridge(Masqueraded());
  for (const bool builtin : {false, true}) {
    OnHost([&] {
      const auto adds = MakeBuiltin(builtin);
      const auto deletes = MakeBuiltin(!builtin);
      const PodNetwork one = MakePod();
      const PodNetwork two = MakePod();
      Context ctx;
      const auto first = adds->Add(ctx, one);
      const auto second = deletes->Add(ctx, two);
      ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
      EXPECT_NE(first->ips, second->ips);
      EXPECT_TRUE(MakeBuiltin(false)->Check(ctx, one).ok()) << "the plugin finds what it expects";
      EXPECT_TRUE(MakeBuiltin(false)->Check(ctx, two).ok());
      EXPECT_TRUE(deletes->Del(ctx, one).ok());
      EXPECT_TRUE(adds->Del(ctx, two).ok());
      EXPECT_TRUE(adds->Del(ctx, one).ok()) << "twice";
      EXPECT_TRUE(deletes->Del(ctx, one).ok()) << "twice";
      ExpectNothingLeft();
    });
  }
}

TEST_F(BuiltinBridgeTest, PacketsReachWhomTheyShould) {
  ConfigureBridge(Masqueraded({{"routes", Defaults({"0.0.0.0/0", "::/0"})}}));
  OnHost([&] {
    const std::string outside = MakeOutside();
    const auto cni = MakeBuiltin(true);
    const PodNetwork pod = MakePod();
    const PodNetwork neighbour = MakePod();
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    const auto other = cni->Add(ctx, neighbour);
    ASSERT_TRUE(result.ok() && other.ok()) << result.status() << other.status();
    for (const size_t family : {0U, 1U}) {
      const std::string gateway = family == 0 ? "10.210.0.1" : "fd00:210::1";
      const std::string far = family == 0 ? kOutside : kOutside6;
      UniqueFd there;
      UniqueFd beside;
      In(outside, [&] { return (there = ListenTcp(far, 80)).valid(); });
      In(neighbour.netns_path,
         [&] { return (beside = ListenTcp(other->ips[family], 80)).valid(); });
      const UniqueFd on_host = ListenTcp(gateway, 7011);
      EXPECT_TRUE(In(pod.netns_path, [&] { return Connects(other->ips[family], 80); }));
      EXPECT_EQ(AcceptedFrom(beside.get()), result->ips[family]) << "neighbours know each other";
      EXPECT_TRUE(In(pod.netns_path, [&] { return Connects(gateway, 7011); }));
      EXPECT_TRUE(In(pod.netns_path, [&] { return Connects(far, 80); }));
      EXPECT_EQ(AcceptedFrom(there.get()), family == 0 ? kNode : kNode6);
    }
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    ASSERT_TRUE(cni->Del(ctx, neighbour).ok());
  });
}

TEST_F(BuiltinBridgeTest, ManyAtOnce) {
  ConfigureBridge(Masqueraded());
  OnHost([&] {
    const auto cni = MakeBuiltin(true);
    constexpr size_t kPods = 32;
    std::vector<PodNetwork> pods;
    std::generate_n(std::back_inserter(pods), kPods, [&] { return MakePod(); });
    std::vector<absl::StatusOr<NetworkResult>> results(kPods, absl::UnknownError("not run"));
    std::vector<absl::Status> deleted(kPods);
    const auto all = [&](const std::function<void(size_t)>& body) {
      std::vector<std::thread> threads;
      for (size_t i = 0; i < kPods; ++i) {
        threads.emplace_back([&body, i] { body(i); });
      }
      for (std::thread& thread : threads) {
        thread.join();
      }
    };
    all([&](size_t i) {
      Context ctx;
      results[i] = cni->Add(ctx, pods[i]);
    });
    std::set<std::string> ips;
    for (const auto& result : results) {
      ASSERT_TRUE(result.ok()) << result.status();
      ips.insert(result->ips.begin(), result->ips.end());
    }
    EXPECT_EQ(ips.size(), 2 * kPods);
    const std::string rules = Sh("iptables-save -t nat");
    const std::regex jump("-A POSTROUTING [^\n]*-j CNI-");
    EXPECT_EQ(std::distance(std::sregex_iterator(rules.begin(), rules.end(), jump), {}),
              std::ptrdiff_t{kPods});
    all([&](size_t i) {
      Context ctx;
      deleted[i] = cni->Del(ctx, pods[i]);
    });
    for (const absl::Status& status : deleted) {
      EXPECT_TRUE(status.ok()) << status;
    }
    ExpectNothingLeft();
  });
}

TEST_F(BuiltinBridgeTest, DelWithoutTheNamespace) {
  ConfigureBridge({{"ipMasq", true}, {"ipam", Ipam({{"subnet", "10.210.0.0/24"}})}});
  OnHost([&] {
    const auto cni = MakeBuiltin(true);
    const PodNetwork pod = MakePod();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    ASSERT_TRUE(UnpinNamespace(pod.netns_path).ok());
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
    ExpectNothingLeft();
  });
}

// A daemon that was killed knows no result; one that was killed within DEL has done half of it.
TEST_F(BuiltinBridgeTest, DelWithoutAResult) {
  const json config = {
      {"name", "net"},
      {"cniVersion", "1.0.0"},
      {"type", "bridge"},
      {"bridge", "br-b"},
      {"isGateway", true},
      {"ipMasq", true},
      {"ipam", Ipam({{"ranges", Ranges({{"10.210.0.0/24"}, {"fd00:210::/64"}})}})}};
  OnHost([&] {
    const auto plan = builtin::ParseBridgePlan(DumpJson(config));
    ASSERT_TRUE(plan.ok()) << plan.status();
    builtin::Bridge bridge;
    Context ctx;
    const PodNetwork pod = MakePod();
    const builtin::Target target{pod.sandbox_id, pod.netns_path};
    const auto result = bridge.Add(ctx, *plan, target);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(bridge.Del(ctx, *plan, target, "").ok());
    ExpectNothingLeft();
    EXPECT_TRUE(bridge.Del(ctx, *plan, target, "").ok());
    EXPECT_TRUE(bridge.Del(ctx, *plan, target, *result).ok());
    // The rules of one family are gone, as if by hand.
    const auto again = bridge.Add(ctx, *plan, target);
    ASSERT_TRUE(again.ok()) << again.status();
    Sh("ip6tables -w -t nat -F; ip6tables -w -t nat -X");
    EXPECT_TRUE(bridge.Del(ctx, *plan, target, *again).ok());
    ExpectNothingLeft();
  });
}

TEST_F(BuiltinBridgeTest, FailedAddLeavesNothing) {
  ConfigureBridge({{"ipMasq", true}, {"ipam", Ipam({{"subnet", "10.210.0.0/24"}})}});
  OnHost([&] {
    const auto cni = MakeBuiltin(true);
    const PodNetwork pod = MakePod();
    ExecIn(pod.netns_path, {kShell, "-c", "ip link add eth0 type veth peer name other"});
    Context ctx;
    const absl::Status status = cni->Add(ctx, pod).status();
    EXPECT_NE(Message(status).find("plugin bridge of network net (ADD): create the interfaces"),
              std::string::npos)
        << status;
    ExpectNothingLeft();
  });
}

TEST_F(BuiltinBridgeTest, WhatIsNotBuiltInIsExecuted) {
  OnHost([&] {
    ConfigureBridge({{"promiscMode", true}, {"ipam", Ipam({{"subnet", "10.210.0.0/24"}})}});
    const auto cni = MakeBuiltin(true);
    EXPECT_EQ(cni->DescribeJson().find("\"builtin\":true"), std::string::npos);
    const PodNetwork pod = MakePod();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    EXPECT_NE(Sh("ip link show br-b").find("PROMISC"), std::string::npos);
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
    ExpectNothingLeft();
  });
  OnHost([&] {
    ConfigureBridge(
        {{"capabilities", {{"ips", true}}}, {"ipam", Ipam({{"subnet", "10.210.0.0/24"}})}});
    const auto cni = MakeBuiltin(true);
    PodNetwork pod = MakePod();
    pod.static_ips = {"10.210.0.77"};
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->ips, pod.static_ips);
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
    ExpectNothingLeft();
  });
}

}  // namespace
}  // namespace davit::network
