// SPDX-License-Identifier: Apache-2.0
#include "network/host_ports/port_table.h"

#include <sys/socket.h>

#include <gtest/gtest.h>

#include "base/status.h"

namespace davit::network {
namespace {

PublishedPod Pod(std::vector<PortMapping> ports,
                 std::vector<std::string> addresses = {"10.1.2.3/16", "fd00::3/64"}) {
  return {"1a2b3c", "default/web", std::move(ports), std::move(addresses)};
}

std::string Text(const PublishedPod& pod) {
  const auto ports = HostPortsOf(pod);
  if (!ports.ok()) {
    return ports.status().ToString();
  }
  std::string text;
  for (const HostPort& port : *ports) {
    text +=
        fmt::format("{} {} {} {};", Describe(port), port.pod_ip, port.pod_port, port.pod_subnet);
  }
  return text;
}

TEST(PortTable, OneForEachFamily) {
  EXPECT_EQ(Text(Pod({{8080, 80, "tcp", ""}})),
            "*:8080/tcp 10.1.2.3 80 10.1.0.0/16;*:8080/tcp fd00::3 80 fd00::/64;");
  EXPECT_EQ(Text(Pod({{53, 5353, "udp", "0.0.0.0"}})), "*:53/udp 10.1.2.3 5353 10.1.0.0/16;");
  EXPECT_EQ(Text(Pod({{53, 5353, "udp", "::"}})), "*:53/udp fd00::3 5353 fd00::/64;");
  EXPECT_EQ(Text(Pod({{53, 5353, "sctp", "0:0::1"}})), "[::1]:53/sctp fd00::3 5353 fd00::/64;");
  EXPECT_EQ(Text(Pod({{53, 5353, "sctp", "127.0.0.1"}})),
            "127.0.0.1:53/sctp 10.1.2.3 5353 10.1.0.0/16;");
  // The first of a family, and subnets that end within a byte or are one address.
  EXPECT_EQ(Text(Pod({{1, 2, "tcp", ""}}, {"10.1.255.3/20", "10.9.9.9/8"})),
            "*:1/tcp 10.1.255.3 2 10.1.240.0/20;");
  EXPECT_EQ(Text(Pod({{1, 2, "tcp", ""}}, {"10.1.255.3/32"})),
            "*:1/tcp 10.1.255.3 2 10.1.255.3/32;");
  EXPECT_EQ(Text(Pod({{0, 80, "tcp", ""}})), "") << "only information";
}

TEST(PortTable, RefusesWhatCannotBe) {
  EXPECT_NE(Text(Pod({{70000, 80, "tcp", ""}})).find("INVALID_ARGUMENT"), std::string::npos);
  EXPECT_NE(Text(Pod({{80, 80, "dccp", ""}})).find("INVALID_ARGUMENT"), std::string::npos);
  EXPECT_NE(Text(Pod({{80, 80, "tcp", "node"}})).find("INVALID_ARGUMENT"), std::string::npos);
  const std::string six = Text(Pod({{80, 80, "tcp", "::1"}}, {"10.1.2.3/16"}));
  EXPECT_NE(six.find("FAILED_PRECONDITION: host port 80 on ::1"), std::string::npos) << six;
  EXPECT_NE(Text(Pod({{80, 80, "tcp", ""}}, {})).find("FAILED_PRECONDITION"), std::string::npos);
  EXPECT_NE(Text(Pod({{80, 80, "tcp", ""}}, {"10.1.2.3"})).find("INTERNAL"), std::string::npos);
}

TEST(PortTable, OnePortForTwoThings) {
  EXPECT_EQ(Text(Pod({{80, 8080, "tcp", ""}, {80, 8080, "tcp", ""}}, {"10.1.2.3/16"})),
            "*:80/tcp 10.1.2.3 8080 10.1.0.0/16;")
      << "said twice is said";
  const std::string twice =
      Text(Pod({{80, 8080, "tcp", ""}, {80, 8081, "tcp", ""}}, {"10.1.2.3/16"}));
  EXPECT_NE(twice.find("*:80/tcp is asked for twice, for the ports 8080 and 8081"),
            std::string::npos)
      << twice;
  EXPECT_EQ(Text(Pod({{80, 1, "tcp", ""}, {80, 2, "udp", ""}}, {"10.1.2.3/16"})),
            "*:80/tcp 10.1.2.3 1 10.1.0.0/16;*:80/udp 10.1.2.3 2 10.1.0.0/16;");
}

TEST(PortTable, AnyAddressCollidesWithOne) {
  const HostPort any{.family = AF_INET, .protocol = "tcp", .port = 80};
  HostPort other = any;
  EXPECT_TRUE(Collide(any, other));
  other.host_ip = "10.0.0.1";
  EXPECT_TRUE(Collide(any, other));
  HostPort third = other;
  third.host_ip = "10.0.0.2";
  EXPECT_FALSE(Collide(third, other));
  other.host_ip = "";
  other.protocol = "udp";
  EXPECT_FALSE(Collide(any, other));
  other = any;
  other.family = AF_INET6;
  EXPECT_FALSE(Collide(any, other));
}

}  // namespace
}  // namespace davit::network
