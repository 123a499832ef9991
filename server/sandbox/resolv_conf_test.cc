// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/resolv_conf.h"

#include <stdlib.h>

#include <string>

#include <gtest/gtest.h>

#include "base/file.h"

namespace davit::server {
namespace {

class HostResolvConfTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/davit-resolv-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(dir_).ok()); }

  std::string Etc(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(dir_ + "/etc", text).ok());
    return dir_ + "/etc";
  }
  std::string Resolved(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(dir_ + "/resolved", text).ok());
    return dir_ + "/resolved";
  }

  std::string dir_;
};

TEST_F(HostResolvConfTest, AStubOnTheLoopbackIsNoUseToAPodWithItsOwnNetwork) {
  const std::string etc = Etc("nameserver 127.0.0.53\nsearch lan\n");
  const std::string resolved = Resolved("nameserver 192.168.1.1\n");
  EXPECT_EQ(HostResolvConf(false, etc, resolved), "nameserver 192.168.1.1\n");
  EXPECT_EQ(HostResolvConf(true, etc, resolved), "nameserver 127.0.0.53\nsearch lan\n");
  EXPECT_EQ(HostResolvConf(false, etc, dir_ + "/none"), "nameserver 127.0.0.53\nsearch lan\n");
}

TEST_F(HostResolvConfTest, ARealServerIsKept) {
  const std::string etc = Etc("nameserver 127.0.0.1\nnameserver 8.8.8.8\n");
  EXPECT_EQ(HostResolvConf(false, etc, Resolved("nameserver 1.1.1.1\n")),
            "nameserver 127.0.0.1\nnameserver 8.8.8.8\n");
  EXPECT_EQ(HostResolvConf(false, dir_ + "/none", dir_ + "/none"), "");
}

}  // namespace
}  // namespace davit::server
