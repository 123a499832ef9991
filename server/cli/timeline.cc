// SPDX-License-Identifier: Apache-2.0
#include "server/cli/timeline.h"

#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "base/time.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {
namespace {

using davit::v1::Span;

std::string Details(const Span& span) {
  std::map<std::string, std::string> sorted(span.attributes().begin(), span.attributes().end());
  std::string text;
  for (const auto& [key, value] : sorted) {
    text += (text.empty() ? "" : " ") + key + "=" + value;
  }
  if (!span.error().empty()) {
    text += (text.empty() ? "" : " ") + std::string("error: ") + span.error();
  }
  return text;
}

class Tree {
 public:
  explicit Tree(const davit::v1::TimelineResponse& response) {
    for (const Span& span : response.spans()) {
      known_.insert({span.span_id(), &span});
    }
    for (const Span& span : response.spans()) {
      const bool root = !known_.contains(span.parent_span_id());
      children_[root ? "" : span.parent_span_id()].push_back(&span);
    }
  }

  [[nodiscard]] std::string Text() {
    for (const Span* root : children_[""]) {
      start_ns_ = root->start_ns();
      Add(*root, 0);
    }
    return table_.Text();
  }

 private:
  void Add(const Span& span, size_t depth) {
    table_.Add({std::string(2 * depth, ' ') + span.name(),
                "+" + HumanDuration(std::max<int64_t>(span.start_ns() - start_ns_, 0)),
                HumanDuration(span.end_ns() - span.start_ns()), Details(span)});
    for (const Span* child : children_[span.span_id()]) {
      Add(*child, depth + 1);
    }
  }

  std::map<std::string, const Span*> known_;
  std::map<std::string, std::vector<const Span*>> children_;
  int64_t start_ns_ = 0;
  Table table_{{"STAGE", "START", "TOOK", "DETAILS"}};
};

std::string List(const davit::v1::TimelineResponse& response) {
  Table table({"TRACE", "OPERATION", "WHEN", "TOOK", "DETAILS"});
  for (const Span& span : response.spans()) {
    table.Add({span.trace_id(), span.name(), Ago(span.start_ns()),
               HumanDuration(span.end_ns() - span.start_ns()), Details(span)});
  }
  return table.Text();
}

}  // namespace

absl::Status PrintTimeline(Client& client, const std::string& trace_id, bool json) {
  davit::v1::TimelineRequest request;
  request.set_trace_id(trace_id);
  ASSIGN_OR_RETURN(const auto response,
                   client.Call(client.davit(), &davit::v1::Davit::Stub::Timeline, request));
  if (json) {
    fmt::print("{}", ToJson(response));
  } else {
    fmt::print("{}", trace_id.empty() ? List(response) : Tree(response).Text());
  }
  return absl::OkStatus();
}

absl::Status RunTimeline(const Globals& globals, const std::string& trace_id) {
  Client client(globals.socket);
  return PrintTimeline(client, trace_id, globals.json);
}

}  // namespace davit::server::cli
