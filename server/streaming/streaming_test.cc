// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/status.h"
#include "server/streaming/refusal_log.h"
#include "server/streaming/result.h"
#include "server/streaming/terminal_size.h"
#include "server/streaming/token_table.h"

namespace davit::server::streaming {
namespace {

using namespace std::chrono_literals;

Request SomeRequest() {
  CommandRequest request;
  request.what = "exec in container 0123";
  return request;
}

TEST(TokenTable, ATokenWorksOnce) {
  TokenTable table(60s);
  const std::string token = *table.Add(SomeRequest());
  EXPECT_GE(token.size() * 4, 128U);
  EXPECT_EQ(table.Take("").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(table.Take(token.substr(1)).status().code(), absl::StatusCode::kNotFound);
  const auto taken = table.Take(token);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(std::get<CommandRequest>(*taken).what, "exec in container 0123");
  EXPECT_EQ(table.Take(token).status().code(), absl::StatusCode::kNotFound);
}

TEST(TokenTable, ATokenExpires) {
  TokenTable table(60s);
  const auto now = TokenTable::Clock::now();
  const std::string first = *table.Add(SomeRequest(), now);
  const std::string second = *table.Add(SomeRequest(), now + 30s);
  EXPECT_FALSE(table.Take(first, now + 60s).ok());
  EXPECT_TRUE(table.Take(second, now + 60s).ok());
}

TEST(TokenTable, IsBounded) {
  TokenTable table(60s);
  const auto now = TokenTable::Clock::now();
  std::set<std::string> tokens;
  for (size_t i = 0; i < TokenTable::kMaxWaiting; ++i) {
    tokens.insert(*table.Add(SomeRequest(), now));
  }
  EXPECT_EQ(tokens.size(), TokenTable::kMaxWaiting);
  EXPECT_EQ(table.Add(SomeRequest(), now + 59s).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(table.Add(SomeRequest(), now + 60s).ok());
}

TEST(RefusalLog, ManyRefusalsAreCountedAndNotSaid) {
  RefusalLog refusals;
  const auto now = RefusalLog::Clock::now();
  testing::internal::CaptureStderr();
  for (size_t i = 0; i < RefusalLog::kLines + 80; ++i) {
    refusals.Say(NotFound("no such URL"), now + 1s);
  }
  const std::string first = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), int64_t{RefusalLog::kLines});
  EXPECT_NE(first.find("streaming: refused: no such URL\n"), std::string::npos) << first;
  testing::internal::CaptureStderr();
  refusals.Say(NotFound("no such URL"), now + 62s);
  const std::string second = testing::internal::GetCapturedStderr();
  EXPECT_NE(second.find("80 further clients were refused\n"), std::string::npos) << second;
  EXPECT_EQ(std::count(second.begin(), second.end(), '\n'), 2);
}

TEST(Result, AsKubectlExpectsIt) {
  EXPECT_EQ(ResultText(0, 4), R"({"metadata":{},"status":"Success"})");
  const auto failed = ParseJson(ResultText(7, 4), "a result");
  ASSERT_TRUE(failed.ok());
  EXPECT_EQ((*failed)["status"], "Failure");
  EXPECT_EQ((*failed)["reason"], "NonZeroExitCode");
  EXPECT_EQ((*failed)["details"]["causes"][0]["reason"], "ExitCode");
  EXPECT_EQ((*failed)["details"]["causes"][0]["message"], "7");
  const auto error = ParseJson(ResultText(absl::NotFoundError("no shell"), 5), "a result");
  EXPECT_EQ((*error)["reason"], "InternalError");
  EXPECT_EQ((*error)["code"], 500);
  EXPECT_EQ((*error)["message"], "Internal error occurred: no shell");
  EXPECT_EQ((*error)["details"]["causes"][0]["message"], "no shell");
}

TEST(Result, IsTextBeforeVersion4) {
  EXPECT_EQ(ResultText(0, 3), "");
  EXPECT_EQ(ResultText(3, 1), "command terminated with non-zero exit code: exit status 3");
  EXPECT_EQ(ResultText(absl::NotFoundError("no shell"), 2), "no shell");
}

TEST(TerminalSizes, ComeInAnyPieces) {
  TerminalSizes sizes;
  EXPECT_TRUE(sizes.Add(R"({"Width":8)").empty());
  const auto two = sizes.Add("0,\"Height\":24}\n{\"Height\":1,\"Width\":2}{");
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[0].rows, 24);
  EXPECT_EQ(two[0].columns, 80);
  EXPECT_EQ(two[1].columns, 2);
}

TEST(TerminalSizes, WhatIsNoneIsSkipped) {
  TerminalSizes sizes;
  EXPECT_TRUE(sizes.Add("}}}{\"Width\":0,\"Height\":5}{\"Width\":70000,\"Height\":5}").empty());
  EXPECT_TRUE(sizes.Add(std::string(100'000, '{')).empty());
  sizes.Add("}");
  EXPECT_EQ(sizes.Add(R"({"Width":80,"Height":24})").size(), 1U);
}

}  // namespace
}  // namespace davit::server::streaming
