// SPDX-License-Identifier: Apache-2.0
#include "server/cli/stream/detach_keys.h"

#include <gtest/gtest.h>

namespace davit::server::cli {
namespace {

DetachKeys Keys(const std::string& text) {
  auto keys = DetachKeys::Parse(text);
  EXPECT_TRUE(keys.ok()) << keys.status();
  return *std::move(keys);
}

TEST(DetachKeys, AreHeldBackAndGivenOutWhenTheyWereNone) {
  DetachKeys keys = Keys("ctrl-p,ctrl-q");
  EXPECT_EQ(keys.Add("ls\x10").bytes, "ls");
  const auto none = keys.Add("\x10\x10x");
  EXPECT_EQ(none.bytes, "\x10\x10\x10x");
  EXPECT_FALSE(none.detach);
  EXPECT_EQ(keys.Add("y\x10").bytes, "y");
  const auto end = keys.Add("\x11z");
  EXPECT_TRUE(end.detach);
  EXPECT_EQ(end.bytes, "");
}

TEST(DetachKeys, MayRepeatThemselves) {
  DetachKeys keys = Keys("a,a,b");
  const auto typed = keys.Add("aaab");
  EXPECT_TRUE(typed.detach);
  EXPECT_EQ(typed.bytes, "a");
}

TEST(DetachKeys, MayBeNone) {
  DetachKeys keys = Keys("");
  const auto typed = keys.Add("\x10\x11");
  EXPECT_EQ(typed.bytes, "\x10\x11");
  EXPECT_FALSE(typed.detach);
}

TEST(DetachKeys, AreNamed) {
  EXPECT_TRUE(Keys("ctrl-]").Add("\x1d").detach);
  EXPECT_TRUE(Keys("ctrl-P").Add("\x10").detach);
  for (const char* bad : {"ctrl-", "ctrl-1", "alt-x", "a,,b", "ctrl-ab"}) {
    EXPECT_FALSE(DetachKeys::Parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace davit::server::cli
