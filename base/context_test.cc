// SPDX-License-Identifier: Apache-2.0
#include "base/context.h"

#include <poll.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "base/poll.h"
#include "base/test_util.h"

namespace davit {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

bool IsReadable(int fd) {
  pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&entry, 1, 0) == 1;
}

TEST(Context, WithoutDeadlineNeverEnds) {
  Context ctx;
  EXPECT_OK(ctx.Check());
  EXPECT_EQ(ctx.PollTimeoutMs(), -1);
  EXPECT_FALSE(IsReadable(ctx.cancel_fd()));
  Context huge(Context::Clock::duration::max());
  EXPECT_EQ(huge.PollTimeoutMs(), -1);
}

TEST(Context, DeadlineNamesTheStage) {
  Context ctx(milliseconds(0));
  ctx.SetStage("cni add");
  EXPECT_EQ(ctx.PollTimeoutMs(), 0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(ctx.Check()));
  EXPECT_NE(Message(ctx.Check()).find("cni add"), std::string::npos);
  EXPECT_FALSE(ctx.cancelled());
  Context past(Context::Clock::now() - hours(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(past.Check()));
  Context far(hours(24 * 365));
  EXPECT_GT(far.PollTimeoutMs(), 1'000'000);
}

TEST(Context, PollTimeoutIsRoundedUp) {
  Context ctx(milliseconds(5));
  EXPECT_LE(ctx.PollTimeoutMs(), 5);
  EXPECT_TRUE(test::Eventually([&] { return ctx.PollTimeoutMs() == 0; }));
  EXPECT_TRUE(absl::IsDeadlineExceeded(ctx.Check()));
}

TEST(Context, CancelIsSeenByDescriptorsMadeBeforeAndAfter) {
  Context before;
  const int fd = before.cancel_fd();
  before.Cancel();
  before.Cancel();
  EXPECT_TRUE(IsReadable(fd));
  EXPECT_EQ(before.cancel_fd(), fd);
  EXPECT_TRUE(absl::IsCancelled(before.Check()));
  Context after;
  after.Cancel();
  EXPECT_TRUE(IsReadable(after.cancel_fd()));
}

TEST(Context, ChildrenEndWithTheParent) {
  Context parent;
  parent.SetStage("pull");
  Context child(parent, hours(1));
  Context grandchild(child, hours(1));
  EXPECT_EQ(grandchild.stage(), "pull");
  const int fd = grandchild.cancel_fd();
  parent.Cancel();
  EXPECT_TRUE(child.cancelled());
  EXPECT_TRUE(grandchild.cancelled());
  EXPECT_TRUE(IsReadable(fd));
  Context late(parent, hours(1));
  EXPECT_TRUE(late.cancelled());
  EXPECT_TRUE(IsReadable(late.cancel_fd()));
}

TEST(Context, ChildHasTheEarlierDeadline) {
  Context parent(hours(1));
  Context shorter(parent, milliseconds(1));
  EXPECT_LT(shorter.deadline(), parent.deadline());
  Context longer(parent, hours(2));
  EXPECT_EQ(longer.deadline(), parent.deadline());
  shorter.Cancel();
  EXPECT_FALSE(parent.cancelled());
}

TEST(Context, ChildrenComeAndGoWhileTheParentIsCancelled) {
  for (int round = 0; round < 50; ++round) {
    Context parent;
    std::atomic<bool> go{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        while (!go.load()) {
        }
        for (int n = 0; n < 20; ++n) {
          Context child(parent, hours(1));
          (void)child.cancel_fd();
          Context grandchild(child, hours(1));
        }
      });
    }
    go = true;
    parent.Cancel();
    for (std::thread& thread : threads) {
      thread.join();
    }
    Context child(parent, hours(1));
    EXPECT_TRUE(child.cancelled());
  }
}

TEST(Poll, WakesOnCancellationAndOnDescriptors) {
  Context ctx(hours(1));
  std::thread canceller([&] { ctx.Cancel(); });
  std::vector<pollfd> fds = {{.fd = -1, .events = POLLIN, .revents = 0}};
  EXPECT_OK(PollWith(ctx, fds));
  canceller.join();
  EXPECT_TRUE(ctx.cancelled());
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[1]);
  fds[0].fd = ends[0];
  Context other;
  EXPECT_OK(PollWith(other, fds));
  EXPECT_NE(fds[0].revents, 0);
  close(ends[0]);
  std::vector<pollfd> many(17, fds[0]);
  EXPECT_FALSE(PollWith(other, many).ok());
}

}  // namespace
}  // namespace davit
