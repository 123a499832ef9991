// SPDX-License-Identifier: Apache-2.0
#include "base/trace.h"

#include <gtest/gtest.h>

#include "base/status.h"

namespace davit::trace {
namespace {

constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(Trace, TraceparentIsReadAndWritten) {
  const auto context = ParseTraceparent(kParent);
  ASSERT_TRUE(context);
  EXPECT_EQ(Traceparent(*context), kParent);
  // A later version may say more.
  EXPECT_TRUE(ParseTraceparent("cc-" + std::string(kParent).substr(3) + "-what"));
}

TEST(Trace, MalformedTraceparentIsNone) {
  const std::string good = kParent;
  const std::string bads[] = {"",
                              "00",
                              good + "-more",
                              good + "1",
                              good.substr(0, 54),
                              "ff" + good.substr(2),
                              "00-" + std::string(32, '0') + good.substr(35),
                              good.substr(0, 36) + std::string(16, '0') + "-01",
                              "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                              "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01"};
  for (const std::string& bad : bads) {
    EXPECT_FALSE(ParseTraceparent(bad)) << bad;
  }
}

TEST(Trace, SpansNestByContext) {
  Context ctx;
  ctx.SetSpan(*ParseTraceparent(kParent));
  SpanContext outer_context;
  {
    Span outer(ctx, "outer");
    outer_context = outer.context();
    {
      Span inner(ctx, "inner");
      inner.Set("bytes", uint64_t{7});
      EXPECT_FALSE(inner.Outcome(Unavailable("no")).ok());
    }
    Context child(ctx, std::chrono::seconds(1));
    Add(child, "interleaved", 5, {});
  }
  EXPECT_EQ(Traceparent(ctx.span()), kParent);
  const std::vector<Record> spans = Find(ParseTraceparent(kParent)->trace_id);
  ASSERT_EQ(spans.size(), 3U);
  EXPECT_EQ(spans[0].name, "interleaved");
  EXPECT_EQ(spans[0].parent, outer_context.span_id);
  EXPECT_EQ(spans[1].name, "outer");
  EXPECT_EQ(spans[1].parent, ParseTraceparent(kParent)->span_id);
  EXPECT_GE(spans[1].end_ns, spans[2].end_ns);
  EXPECT_EQ(spans[2].name, "inner");
  EXPECT_EQ(spans[2].parent, outer_context.span_id);
  EXPECT_EQ(spans[2].attributes, std::vector<Attribute>({{"bytes", "7"}}));
  EXPECT_TRUE(absl::IsUnavailable(spans[2].status));
}

TEST(Trace, WithoutParentASpanIsARoot) {
  Context ctx;
  Span root(ctx, "root");
  const SpanContext context = root.context();
  EXPECT_TRUE(context.valid());
  root.End();
  const std::vector<Record> roots = RecentRoots(1);
  ASSERT_EQ(roots.size(), 1U);
  EXPECT_EQ(roots[0].context.span_id, context.span_id);
  EXPECT_FALSE(ctx.span().valid());
}

TEST(Trace, CodeWithoutAContextBelongsToTheThreadsSpan) {
  { Span alone("of nothing"); }
  Context ctx;
  SpanContext outer_context;
  {
    Span outer(ctx, "outer");
    outer_context = outer.context();
    Span inner("inner");
  }
  const std::vector<Record> spans = Find(outer_context.trace_id);
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans[1].name, "inner");
  EXPECT_EQ(spans[1].parent, outer_context.span_id);
  for (const Record& root : RecentRoots(kKept)) {
    EXPECT_NE(root.name, "of nothing");
  }
}

TEST(Trace, OldSpansAreForgotten) {
  Context ctx;
  Span first(ctx, "first");
  const TraceId id = first.context().trace_id;
  first.End();
  for (size_t i = 0; i < kKept; ++i) {
    Span other(ctx, "other");
  }
  EXPECT_TRUE(Find(id).empty());
}

}  // namespace
}  // namespace davit::trace
