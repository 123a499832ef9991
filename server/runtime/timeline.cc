// SPDX-License-Identifier: Apache-2.0
#include "server/runtime/timeline.h"

#include "base/id.h"
#include "base/status.h"
#include "base/text.h"
#include "base/trace.h"

namespace davit::server {
namespace {

constexpr size_t kMost = 20;

void AddSpan(const trace::Record& span, davit::v1::TimelineResponse& response) {
  auto* out = response.add_spans();
  out->set_trace_id(HexEncode(span.context.trace_id));
  out->set_span_id(HexEncode(span.context.span_id));
  if (span.parent != trace::SpanId{}) {
    out->set_parent_span_id(HexEncode(span.parent));
  }
  out->set_name(span.name);
  out->set_start_ns(span.start_ns);
  out->set_end_ns(span.end_ns);
  for (const auto& [key, value] : span.attributes) {
    (*out->mutable_attributes())[key] = value;
  }
  out->set_code(static_cast<int>(span.status.code()));
  out->set_error(Message(span.status));
}

}  // namespace

absl::StatusOr<davit::v1::TimelineResponse> Timeline(Node& /*node*/, Context& /*ctx*/,
                                                     const davit::v1::TimelineRequest& request) {
  davit::v1::TimelineResponse response;
  if (request.trace_id().empty()) {
    for (const auto& root : trace::RecentRoots(request.most() == 0 ? kMost : request.most())) {
      AddSpan(root, response);
    }
    return response;
  }
  // The ID in the form that a traceparent has it in, with any span.
  const auto context = trace::ParseTraceparent("00-" + request.trace_id() + "-0000000000000001-01");
  if (!context) {
    return InvalidArgument("trace ID '{}' is not 32 lower-case hex digits",
                           Printable(request.trace_id(), 64));
  }
  for (const auto& span : trace::Find(context->trace_id)) {
    AddSpan(span, response);
  }
  if (response.spans().empty()) {
    return NotFound("trace {} is not kept (any more); `davit timeline` lists those that are",
                    request.trace_id());
  }
  return response;
}

}  // namespace davit::server
