// SPDX-License-Identifier: Apache-2.0
#include "server/periodic.h"

#include <atomic>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace davit::server {
namespace {

using std::chrono::milliseconds;

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  return condition();
}

class PeriodicTest : public testing::Test {
 protected:
  std::unique_ptr<EventLoop> loop_ = *EventLoop::Create();
  Executor executor_{4};
};

TEST_F(PeriodicTest, RunsAgainAndAgainWhenDue) {
  std::atomic<int> asked = 0;
  std::atomic<int> runs = 0;
  {
    Periodic periodic(*loop_, executor_, milliseconds(1),
                      {.due = [&] { return ++asked % 2 == 0; }, .run = [&](Context&) { ++runs; }});
    EXPECT_TRUE(Eventually([&] { return runs >= 3; }));
  }
  EXPECT_GE(asked.load(), 2 * runs.load());
  const int after = runs;
  std::this_thread::yield();
  EXPECT_EQ(runs.load(), after);
}

TEST_F(PeriodicTest, EndCancelsAndWaits) {
  std::atomic<bool> runs = false;
  std::atomic<bool> cancelled = false;
  auto periodic = std::make_unique<Periodic>(
      *loop_, executor_, milliseconds(1),
      Periodic::Work{.due = [] { return true; },
                     .run =
                         [&](Context& ctx) {
                           runs = true;
                           cancelled = Eventually([&] { return ctx.cancelled(); });
                         }});
  ASSERT_TRUE(Eventually([&] { return runs.load(); }));
  periodic.reset();
  EXPECT_TRUE(cancelled);
}

TEST_F(PeriodicTest, MayEndAtOnce) {
  for (int i = 0; i < 100; ++i) {
    const Periodic periodic(*loop_, executor_, milliseconds(1),
                            {.due = [] { return true; }, .run = [](Context&) {}});
  }
}

}  // namespace
}  // namespace davit::server
