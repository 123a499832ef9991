// SPDX-License-Identifier: Apache-2.0
#include "server/filter.h"
#include "server/sandbox/read_rpcs.h"

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

}  // namespace

absl::StatusOr<runtime::v1::ListPodSandboxResponse> ListPodSandbox(
    Node& node, Context& /*ctx*/, const runtime::v1::ListPodSandboxRequest& request) {
  runtime::v1::ListPodSandboxResponse response;
  for (const auto& sandbox : node.sandboxes.List()) {
    const auto record = sandbox->record();
    if (!Matches(*record, request.filter())) {
      continue;
    }
    auto& item = *response.add_items();
    item.set_id(record->id());
    *item.mutable_metadata() = record->config().metadata();
    item.set_state(ToCriState(record->state()));
    item.set_created_at(record->created_at());
    *item.mutable_labels() = record->config().labels();
    *item.mutable_annotations() = record->config().annotations();
    item.set_runtime_handler(record->runtime_handler());
  }
  return response;
}

}  // namespace davit::server
