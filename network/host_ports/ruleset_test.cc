// SPDX-License-Identifier: Apache-2.0
#include "network/host_ports/ruleset.h"

#include <sys/socket.h>

#include <gtest/gtest.h>

namespace davit::network {
namespace {

HostPort Port(int family, const std::string& host_ip) {
  return {.family = family,
          .protocol = "tcp",
          .port = 8080,
          .host_ip = host_ip,
          .pod_ip = family == AF_INET ? "10.1.2.3" : "fd00::3",
          .pod_port = 80,
          .pod_subnet = family == AF_INET ? "10.1.0.0/16" : "fd00::/64"};
}

TEST(Ruleset, ReplacesAllInOneScript) {
  const std::string script = ReplaceTable(
      {Port(AF_INET, ""), Port(AF_INET, "192.0.2.1"), Port(AF_INET6, ""), Port(AF_INET6, "::1")});
  EXPECT_TRUE(script.starts_with("table inet davit_hostports\ndelete table inet davit_hostports\n"))
      << script;
  for (const char* part :
       {"{ tcp . 8080 : 10.1.2.3 . 80 }", "{ 192.0.2.1 . tcp . 8080 : 10.1.2.3 . 80 }",
        "{ tcp . 8080 : fd00::3 . 80 }", "{ ::1 . tcp . 8080 : fd00::3 . 80 }",
        "{ tcp . 8080 . 10.1.0.0/16 . 10.1.2.3, tcp . 8080 . 127.0.0.0/8 . 10.1.2.3 }",
        "{ tcp . 8080 . fd00::/64 . fd00::3 }"}) {
    EXPECT_NE(script.find(part), std::string::npos) << part << " in " << script;
  }
}

TEST(Ruleset, NothingIsNoTable) {
  EXPECT_EQ(ReplaceTable({}), "table inet davit_hostports\ndelete table inet davit_hostports\n");
  EXPECT_EQ(ExpectedSize({}), TableSize());
}

TEST(Ruleset, CountsWhatIsListed) {
  const auto size = SizeOf(R"({"nftables":[{"metainfo":{}},{"table":{}},
      {"map":{"elem":[[1,2],[3,4]]}},{"set":{"elem":[{}]}},{"set":{}},{"rule":{}},{"rule":{}}]})");
  ASSERT_TRUE(size.ok());
  EXPECT_EQ(size->rules, 2U);
  EXPECT_EQ(size->elements, 3U);
  EXPECT_FALSE(SizeOf("no JSON").ok());
  EXPECT_EQ(SizeOf("{}")->rules, 0U);
}

}  // namespace
}  // namespace davit::network
