// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "server/filter.h"
#include "server/sandbox/read_rpcs.h"
#include "server/serialized_list.h"

namespace davit::server {
namespace {

bool Matches(const Sandbox::Record& record, const runtime::v1::PodSandboxFilter& filter) {
  if (!Visible(record) || !MatchesId(record.id(), filter.id())) {
    return false;
  }
  if (filter.has_state() && ToCriState(record.state()) != filter.state().state()) {
    return false;
  }
  return MatchesLabels(record.config().labels(), filter.label_selector());
}

runtime::v1::PodSandbox ListItem(const Sandbox::Record& record) {
  runtime::v1::PodSandbox item;
  item.set_id(record.id());
  *item.mutable_metadata() = record.config().metadata();
  item.set_state(ToCriState(record.state()));
  item.set_created_at(record.created_at());
  *item.mutable_labels() = record.config().labels();
  *item.mutable_annotations() = record.config().annotations();
  item.set_runtime_handler(record.runtime_handler());
  return item;
}

std::string Entry(const Sandbox::Record& record) {
  runtime::v1::ListPodSandboxResponse alone;
  *alone.add_items() = ListItem(record);
  return alone.SerializeAsString();
}

}  // namespace

absl::StatusOr<SharedBytes> ListPodSandbox(Node& node, Context& /*ctx*/,
                                           const runtime::v1::ListPodSandboxRequest& request) {
  return SerializedList(node.sandboxes, request.filter(), Matches, Entry);
}

Filler<runtime::v1::StreamPodSandboxesResponse> StreamPodSandboxes(
    Node& node, const runtime::v1::StreamPodSandboxesRequest& request) {
  using Response = runtime::v1::StreamPodSandboxesResponse;
  auto add = [filter = request.filter()](Response& piece, const Sandbox& sandbox) -> size_t {
    const auto record = sandbox.record();
    if (!Matches(*record, filter)) {
      return 0;
    }
    auto& item = *piece.add_pod_sandboxes();
    item = ListItem(*record);
    return item.ByteSizeLong();
  };
  return WalkObjects<Response, Sandbox>(node.sandboxes.List(), std::move(add));
}

}  // namespace davit::server
