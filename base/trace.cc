// SPDX-License-Identifier: Apache-2.0
#include "base/trace.h"

#include <algorithm>
#include <deque>
#include <random>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/id.h"
#include "base/time.h"

namespace davit::trace {
namespace {

class Ring {
 public:
  void Add(Record record) {
    absl::MutexLock lock(&mutex_);
    if (spans_.size() == kKept) {
      spans_.pop_front();
    }
    spans_.push_back(std::move(record));
  }

  template <typename Wanted>
  std::vector<Record> Select(Wanted wanted) const {
    std::vector<Record> found;
    absl::MutexLock lock(&mutex_);
    for (const Record& span : spans_) {
      if (wanted(span)) {
        found.push_back(span);
      }
    }
    return found;
  }

 private:
  mutable absl::Mutex mutex_;
  std::deque<Record> spans_ ABSL_GUARDED_BY(mutex_);
};

Ring& Recent() {
  static Ring* const ring = new Ring;  // threads may end spans until the process ends
  return *ring;
}

template <size_t N>
std::array<uint8_t, N> RandomId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::array<uint8_t, N> id = {};
  while (id == std::array<uint8_t, N>{}) {
    for (size_t i = 0; i < N; ++i) {
      id[i] = static_cast<uint8_t>(random());
    }
  }
  return id;
}

thread_local SpanContext innermost;  // of this thread's spans

SpanContext ChildOf(const SpanContext& outer) {
  return {.trace_id = outer.valid() ? outer.trace_id : RandomId<16>(),
          .span_id = RandomId<8>(),
          .remote = false};
}

int Digit(char c) {
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

template <size_t N>
std::optional<std::array<uint8_t, N>> ParseHex(std::string_view text) {
  if (text.size() != 2 * N || !IsLowerHex(text)) {
    return std::nullopt;
  }
  std::array<uint8_t, N> bytes = {};
  for (size_t i = 0; i < N; ++i) {
    bytes[i] = static_cast<uint8_t>(Digit(text[2 * i]) * 16 + Digit(text[2 * i + 1]));
  }
  return bytes;
}

}  // namespace

std::optional<SpanContext> ParseTraceparent(std::string_view text) {
  // A later version may have more after the flags; "ff" is no version.
  const auto version = ParseHex<1>(text.substr(0, 2));
  const bool separated = text.size() >= 55 && text[2] == '-' && text[35] == '-' && text[52] == '-';
  if (!version || (*version)[0] == 0xff || !separated || !ParseHex<1>(text.substr(53, 2)) ||
      (text.size() > 55 && ((*version)[0] == 0 || text[55] != '-'))) {
    return std::nullopt;
  }
  const auto trace_id = ParseHex<16>(text.substr(3, 32));
  const auto span_id = ParseHex<8>(text.substr(36, 16));
  if (!trace_id || !span_id) {
    return std::nullopt;
  }
  const SpanContext context = {.trace_id = *trace_id, .span_id = *span_id, .remote = true};
  return context.valid() ? std::optional(context) : std::nullopt;
}

std::string Traceparent(const SpanContext& context) {
  return "00-" + HexEncode(context.trace_id) + "-" + HexEncode(context.span_id) + "-01";
}

Span::Span(Context& ctx, std::string name) : Span(&ctx, ctx.span(), std::move(name)) {}
Span::Span(std::string name) : Span(nullptr, innermost, std::move(name)) {}

Span::Span(Context* ctx, const SpanContext& outer, std::string name)
    : ctx_(ctx), outer_(outer), outer_of_thread_(innermost) {
  if (ctx_ == nullptr && !outer_.valid()) {
    ended_ = true;
    return;
  }
  record_.context = ChildOf(outer_);
  record_.parent = outer_.span_id;
  record_.root = !outer_.valid() || outer_.remote;
  record_.name = std::move(name);
  record_.start_ns = NowNanos();
  innermost = record_.context;
  if (ctx_ != nullptr) {
    ctx_->SetSpan(record_.context);
  }
}

Span::~Span() {
  End();
}

void Span::Set(std::string key, std::string value) {
  record_.attributes.emplace_back(std::move(key), std::move(value));
}

absl::Status Span::Outcome(absl::Status status) {
  record_.status = status;
  return status;
}

void Span::End() {
  if (ended_) {
    return;
  }
  ended_ = true;
  innermost = outer_of_thread_;
  if (ctx_ != nullptr) {
    ctx_->SetSpan(outer_);
  }
  // The real-time clock may be set meanwhile: how long it took is of the steady one.
  record_.end_ns =
      record_.start_ns + std::chrono::nanoseconds(Context::Clock::now() - started_).count();
  Recent().Add(std::move(record_));
}

void Add(Context& ctx, std::string name, int64_t start_ns, std::vector<Attribute> attributes) {
  const SpanContext outer = ctx.span();
  Recent().Add({.context = ChildOf(outer),
                .parent = outer.span_id,
                .root = false,
                .name = std::move(name),
                .start_ns = start_ns,
                .end_ns = std::max(start_ns, NowNanos()),
                .attributes = std::move(attributes),
                .status = absl::OkStatus()});
}

std::vector<Record> Find(const TraceId& trace_id) {
  std::vector<Record> spans = Recent().Select(
      [&trace_id](const Record& span) { return span.context.trace_id == trace_id; });
  std::stable_sort(spans.begin(), spans.end(),
                   [](const Record& a, const Record& b) { return a.start_ns < b.start_ns; });
  return spans;
}

std::vector<Record> RecentRoots(size_t most) {
  std::vector<Record> roots = Recent().Select([](const Record& span) { return span.root; });
  std::stable_sort(roots.begin(), roots.end(),
                   [](const Record& a, const Record& b) { return a.start_ns > b.start_ns; });
  roots.resize(std::min(roots.size(), most));
  return roots;
}

}  // namespace davit::trace
