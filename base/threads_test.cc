// SPDX-License-Identifier: Apache-2.0
// executor, event loop, single flight and failpoint.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include <atomic>
#include <optional>
#include <thread>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"

#include "base/event_loop.h"
#include "base/executor.h"
#include "base/failpoint.h"
#include "base/single_flight.h"
#include "base/test_util.h"

namespace davit {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(Executor, RunsAllWithinTheLimit) {
  std::atomic<int> done{0};
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  {
    Executor executor(3);
    for (int i = 0; i < 300; ++i) {
      executor.Run([&] {
        const int now = ++running;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --running;
        ++done;
      });
    }
  }
  EXPECT_EQ(done.load(), 300) << "the destructor finishes what is queued";
  EXPECT_LE(most.load(), 3);
}

TEST(Executor, WorksInParallelUpToTheLimit) {
  absl::BlockingCounter all_there(4);
  absl::Notification go;
  Executor executor(4);
  for (int i = 0; i < 4; ++i) {
    executor.Run([&] {
      all_there.DecrementCount();
      go.WaitForNotification();
    });
  }
  all_there.Wait();  // hangs unless all four run at once
  go.Notify();
}

TEST(Executor, WorkMayStartWork) {
  std::atomic<int> done{0};
  {
    Executor executor(1);
    executor.Run([&] {
      executor.Run([&] { ++done; });
      ++done;
    });
  }
  EXPECT_EQ(done.load(), 2);
}

class EventLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loop = EventLoop::Create();
    ASSERT_OK(loop);
    loop_ = *std::move(loop);
  }
  std::unique_ptr<EventLoop> loop_;
};

TEST_F(EventLoopTest, CallsBackForDescriptorsUntilUnwatched) {
  const UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::atomic<int> calls{0};
  const auto id = loop_->Watch(fd.get(), EPOLLIN, [&](uint32_t events) {
    EXPECT_NE(events & EPOLLIN, 0U);
    eventfd_t value = 0;
    eventfd_read(fd.get(), &value);
    calls += static_cast<int>(value);
  });
  ASSERT_OK(id);
  EXPECT_FALSE(loop_->Watch(fd.get(), EPOLLIN, [](uint32_t) {}).ok());
  eventfd_write(fd.get(), 3);
  EXPECT_TRUE(test::Eventually([&] { return calls == 3; }));
  loop_->Unwatch(*id);
  loop_->Unwatch(*id);
  eventfd_write(fd.get(), 5);
  absl::Notification later;
  loop_->Post([&] { later.Notify(); });
  later.WaitForNotification();
  EXPECT_EQ(calls.load(), 3);
  EXPECT_FALSE(loop_->Watch(-1, EPOLLIN, [](uint32_t) {}).ok());
}

TEST_F(EventLoopTest, UnwatchWaitsForTheCallback) {
  const UniqueFd fd(eventfd(1, EFD_CLOEXEC));  // always readable
  for (int round = 0; round < 100; ++round) {
    auto state = std::make_unique<std::atomic<int>>(0);
    const auto id = loop_->Watch(fd.get(), EPOLLIN, [&](uint32_t) { ++*state; });
    ASSERT_OK(id);
    if (round % 2 == 0) {
      EXPECT_TRUE(test::Eventually([&] { return *state > 0; }));
    }
    loop_->Unwatch(*id);
    state.reset();  // the sanitizer sees a callback that still runs
  }
}

TEST_F(EventLoopTest, ACallbackMayUnwatchItself) {
  const UniqueFd fd(eventfd(1, EFD_CLOEXEC));
  std::atomic<EventLoop::WatchId> id{0};
  std::atomic<int> calls{0};
  absl::Notification known;
  const auto watch = loop_->Watch(fd.get(), EPOLLIN, [&](uint32_t) {
    known.WaitForNotification();
    ++calls;
    loop_->Unwatch(id);
  });
  id = *watch;
  known.Notify();
  EXPECT_TRUE(test::Eventually([&] { return calls > 0; }));
  absl::Notification later;
  loop_->Post([&] { later.Notify(); });
  later.WaitForNotification();
  EXPECT_EQ(calls.load(), 1);
}

TEST_F(EventLoopTest, TimersFireInOrderAndAreCancelled) {
  std::vector<int> order;  // of the loop's thread alone
  absl::Notification last;
  loop_->After(milliseconds(30), [&] {
    order.push_back(3);
    last.Notify();
  });
  loop_->After(milliseconds(10), [&] { order.push_back(1); });
  const auto cancelled = loop_->After(milliseconds(15), [&] { order.push_back(99); });
  loop_->After(milliseconds(20), [&] { order.push_back(2); });
  loop_->CancelTimer(cancelled);
  loop_->CancelTimer(cancelled);
  loop_->After(milliseconds::max(), [&] { order.push_back(99); });
  last.WaitForNotification();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(EventLoopTest, PostsFromAnywhere) {
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        loop_->Post([&] { loop_->Post([&] { ++done; }); });
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(test::Eventually([&] { return done == 400; }));
}

TEST_F(EventLoopTest, DestructionWithWorkLeftIsClean) {
  auto kept = std::make_shared<int>(0);
  loop_->After(hours(1), [kept] { ++*kept; });
  loop_.reset();
  EXPECT_EQ(kept.use_count(), 1) << "the callback was not destroyed";
}

TEST(SingleFlight, CallersWithOneKeyShareTheWork) {
  Executor executor(4);
  SingleFlight<std::string> flights(executor);
  std::atomic<int> runs{0};
  absl::Notification go;
  std::vector<std::thread> callers;
  std::atomic<int> started{0};
  std::atomic<int> good{0};
  for (int i = 0; i < 5; ++i) {
    callers.emplace_back([&] {
      Context ctx(hours(1));
      ++started;
      const auto result =
          flights.Do(ctx, "key", hours(1), [&](Context&) -> absl::StatusOr<std::string> {
            ++runs;
            go.WaitForNotification();
            return "value";
          });
      good += result.value_or("") == "value" ? 1 : 0;
    });
  }
  EXPECT_TRUE(test::Eventually([&] { return started == 5 && runs == 1; }));
  // A caller that gives up does not stop the work, and hears where it is.
  Context impatient(milliseconds(1));
  const auto gave_up =
      flights.Do(impatient, "key", hours(1), [](Context&) -> absl::StatusOr<std::string> {
        ADD_FAILURE() << "ran twice";
        return "";
      });
  EXPECT_TRUE(absl::IsDeadlineExceeded(gave_up.status()));
  EXPECT_NE(Message(gave_up.status()).find("still running"), std::string::npos);
  go.Notify();
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(good.load(), 5);
  Context ctx;
  const auto again = flights.Do(ctx, "key", hours(1), [](Context&) -> absl::StatusOr<std::string> {
    return NotFound("a new run");
  });
  EXPECT_EQ(again.status(), NotFound("a new run"));
}

class FailpointTest : public testing::Test {
 protected:
  ~FailpointTest() override { EXPECT_OK(failpoint::Load("")); }
};

TEST_F(FailpointTest, ActsWhereItIsSet) {
  EXPECT_OK(failpoint::Hit("a.b"));
  EXPECT_OK(failpoint::Load("a.b=error; c.d=error@2;s=sleep:1;"));
  EXPECT_EQ(failpoint::Hit("a.b"), Internal("failpoint a.b"));
  EXPECT_OK(failpoint::Hit("other"));
  EXPECT_OK(failpoint::Hit("c.d"));
  EXPECT_FALSE(failpoint::Hit("c.d").ok());
  EXPECT_OK(failpoint::Hit("c.d"));
  EXPECT_OK(failpoint::Hit("s"));
  setenv("DAVIT_FAILPOINTS", "e=error", 1);
  EXPECT_OK(failpoint::LoadFromEnvironment());
  unsetenv("DAVIT_FAILPOINTS");
  EXPECT_FALSE(failpoint::Hit("e").ok());
  EXPECT_OK(failpoint::Hit("a.b"));
}

TEST_F(FailpointTest, RefusesWhatItDoesNotKnow) {
  for (const char* bad : {"a", "=error", "a=explode", "a=sleep:", "a=sleep:x", "a=error@0",
                          "a=error@x", "a=sleep:99999999999"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(failpoint::Load(bad))) << bad;
  }
}

TEST_F(FailpointTest, CrashIsSigkill) {
  EXPECT_OK(failpoint::Load("x=crash@2"));
  const pid_t child = fork();
  if (child == 0) {
    const bool first_ok = failpoint::Hit("x").ok();
    (void)failpoint::Hit("x");
    _exit(first_ok ? 1 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

}  // namespace
}  // namespace davit
