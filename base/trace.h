// SPDX-License-Identifier: Apache-2.0
//
// Spans: which stage of which operation took how long, in the terms of OpenTelemetry and with the
// IDs of W3C Trace Context (https://www.w3.org/TR/trace-context/). A finished span goes into a ring
// of the most recent ones in memory (kKept of them, oldest forgotten first), where `davit timeline`
// finds it. A span costs about a microsecond and no system call, so all are recorded.
//
// The current span travels in the Context: a Span made from a Context is the child of its current
// one, and is the current one itself until it ends. Functions are thread-safe; a Span is of one
// thread, and spans of one Context are nested, not parallel: parallel work has contexts of its own.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "base/context.h"

namespace davit::trace {

inline constexpr size_t kKept = 2048;

using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;

struct SpanContext {
  TraceId trace_id = {};
  SpanId span_id = {};
  bool remote = false;  // of the client that asked

  // All-zero IDs are those of no span.
  [[nodiscard]] bool valid() const { return trace_id != TraceId{} && span_id != SpanId{}; }
};

// The header "00-<trace ID>-<span ID>-<flags>" that a client sends; nothing if it is malformed.
std::optional<SpanContext> ParseTraceparent(std::string_view text);
[[nodiscard]] std::string Traceparent(const SpanContext& context);

using Attribute = std::pair<std::string, std::string>;

// A span that has ended.
struct Record {
  SpanContext context;
  SpanId parent = {};  // all zero: there is none
  bool root = false;   // it has no parent in this process
  std::string name;
  int64_t start_ns = 0;  // of the real-time clock
  int64_t end_ns = 0;
  std::vector<Attribute> attributes;
  absl::Status status;
};

class Span {
 public:
  Span(Context& ctx, std::string name);
  // For code that has no Context: a child of this thread's innermost span; without one it is not
  // recorded.
  explicit Span(std::string name);
  // Ends it, unless End has.
  ~Span();
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

  void Set(std::string key, std::string value);
  void Set(std::string key, uint64_t value) { Set(std::move(key), std::to_string(value)); }
  // The outcome; OK if nothing is said. Gives back what it got.
  absl::Status Outcome(absl::Status status);
  void End();

  [[nodiscard]] const SpanContext& context() const { return record_.context; }

 private:
  Span(Context* ctx, const SpanContext& outer, std::string name);

  Context* const ctx_;
  const SpanContext outer_;
  const SpanContext outer_of_thread_;
  const Context::Clock::time_point started_ = Context::Clock::now();
  Record record_;
  bool ended_ = false;
};

// A stage that has no code of its own, for it was interleaved with others: from `start_ns` until
// now, a child of the context's current span.
void Add(Context& ctx, std::string name, int64_t start_ns, std::vector<Attribute> attributes);

// The spans of one trace that are still kept, in the order in which they started.
[[nodiscard]] std::vector<Record> Find(const TraceId& trace_id);
// The newest roots, newest first.
[[nodiscard]] std::vector<Record> RecentRoots(size_t most);

}  // namespace davit::trace
