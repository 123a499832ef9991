// SPDX-License-Identifier: Apache-2.0
#include "network/loopback.h"

#include "base/status.h"
#include "network/test_util.h"

namespace davit::network {
namespace {

class LoopbackTest : public NetworkTest {};

TEST_F(LoopbackTest, GivesAddress) {
  OnHost([&] {
    const std::string netns = MakePodNs();
    EXPECT_EQ(ExecIn(netns, {"/usr/sbin/ip", "-o", "-4", "addr", "show", "lo"}), "");
    for (int i = 0; i < 2; ++i) {
      const absl::Status status = BringUpLoopback(netns);
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_NE(ExecIn(netns, {"/usr/sbin/ip", "-o", "-4", "addr", "show", "lo"}).find("127.0.0.1/8"),
              std::string::npos);
  });
}

TEST_F(LoopbackTest, NamesTheMissingNamespace) {
  const absl::Status status = BringUpLoopback(Path("ns/none"));
  EXPECT_FALSE(status.ok());
  EXPECT_NE(Message(status).find("ns/none"), std::string::npos) << status;
}

}  // namespace
}  // namespace davit::network
