// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "server/cli/stream/command_stream.h"
#include "server/cli/stream/port_forwarder.h"

namespace davit::server::cli {
namespace {

TEST(ParseResult, ReadsStatuses) {
  EXPECT_EQ(*ParseResult(R"({"metadata":{},"status":"Success"})"), 0);
  EXPECT_EQ(*ParseResult(R"({"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[
                          {"reason":"ExitCode","message":"7"}]}})"),
            7);
  const auto failed = ParseResult(R"({"status":"Failure","message":"no shell"})");
  EXPECT_EQ(failed.status().message(), "no shell");
  for (const char* bad : {"", "nonsense", "[]", "{}", R"({"status":"Failure","reason":
        "NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"-1"}]}})"}) {
    EXPECT_FALSE(ParseResult(bad).ok()) << bad;
  }
}

TEST(ParseForwardedPort, TakesItsThreeForms) {
  EXPECT_EQ(ParseForwardedPort("8080:80")->local, 8080);
  EXPECT_EQ(ParseForwardedPort("8080:80")->remote, 80);
  EXPECT_EQ(ParseForwardedPort("80")->local, 80);
  EXPECT_EQ(ParseForwardedPort(":80")->local, 0);
  for (const char* bad : {"", ":", "80:", "0", "1:0", "65536", "1:65536", "a", "1:2:3", "-1"}) {
    EXPECT_FALSE(ParseForwardedPort(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace davit::server::cli
