// SPDX-License-Identifier: Apache-2.0
#include "image/retry.h"

#include <ctime>

#include <gtest/gtest.h>

#include "base/status.h"

namespace davit::image {
namespace {

using std::chrono::milliseconds;

milliseconds Wanted(const std::string& value) {
  HttpResponse response;
  response.headers = {{"retry-after", value}};
  return RetryAfter(response);
}

TEST(RetryAfter, SecondsAndDates) {
  EXPECT_EQ(Wanted("7"), milliseconds(7000));
  const time_t soon = time(nullptr) + 100;
  tm parts = {};
  gmtime_r(&soon, &parts);
  char text[64];
  strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  EXPECT_GT(Wanted(text), milliseconds(80'000));
  EXPECT_LE(Wanted(text), milliseconds(100'000));
}

TEST(RetryAfter, WhatSaysNothingIsZero) {
  EXPECT_EQ(RetryAfter(HttpResponse()), milliseconds(0));
  for (const char* value : {"", "soon", "-5", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT", "\xff\xff"}) {
    EXPECT_EQ(Wanted(value), milliseconds(0)) << value;
  }
  EXPECT_GT(Wanted("99999999999999999"), kLongestWanted);
}

TEST(PauseBeforeRetry, AnEndedContextEndsIt) {
  Context ctx;
  ctx.Cancel();
  EXPECT_TRUE(absl::IsCancelled(PauseBeforeRetry(ctx, Unavailable("x"), 1, milliseconds(50'000))));
}

TEST(PauseBeforeRetry, NobodyWaitsForVeryLong) {
  Context ctx;
  const absl::Status status = PauseBeforeRetry(ctx, Unavailable("busy"), 1, std::chrono::hours(1));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_NE(status.message().find("busy"), std::string::npos) << status;
  EXPECT_NE(status.message().find("3600 s"), std::string::npos) << status;
}

}  // namespace
}  // namespace davit::image
