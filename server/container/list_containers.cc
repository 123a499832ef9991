// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "server/container/read_rpcs.h"
#include "server/filter.h"
#include "server/serialized_list.h"

namespace davit::server {
namespace {

bool Matches(const Container::Record& record, const runtime::v1::ContainerFilter& filter) {
  if (!Visible(record) || !MatchesId(record.id(), filter.id()) ||
      !MatchesId(record.sandbox_id(), filter.pod_sandbox_id())) {
    return false;
  }
  if (filter.has_state() && ToCriState(record.state()) != filter.state().state()) {
    return false;
  }
  return MatchesLabels(record.config().labels(), filter.label_selector());
}

runtime::v1::Container ListItem(const Container::Record& record) {
  runtime::v1::Container item;
  item.set_id(record.id());
  item.set_pod_sandbox_id(record.sandbox_id());
  *item.mutable_metadata() = record.config().metadata();
  *item.mutable_image() = record.config().image();
  item.set_image_ref(record.image_ref());
  item.set_image_id(record.image_id());
  item.set_state(ToCriState(record.state()));
  item.set_created_at(record.created_at());
  *item.mutable_labels() = record.config().labels();
  *item.mutable_annotations() = record.config().annotations();
  return item;
}

std::string Entry(const Container::Record& record) {
  runtime::v1::ListContainersResponse alone;
  *alone.add_containers() = ListItem(record);
  return alone.SerializeAsString();
}

}  // namespace

absl::StatusOr<SharedBytes> ListContainers(Node& node, Context& /*ctx*/,
                                           const runtime::v1::ListContainersRequest& request) {
  return SerializedList(node.containers, request.filter(), Matches, Entry);
}

Filler<runtime::v1::StreamContainersResponse> StreamContainers(
    Node& node, const runtime::v1::StreamContainersRequest& request) {
  using Response = runtime::v1::StreamContainersResponse;
  auto add = [filter = request.filter()](Response& piece, const Container& container) -> size_t {
    const auto record = container.record();
    if (!Matches(*record, filter)) {
      return 0;
    }
    auto& item = *piece.add_containers();
    item = ListItem(*record);
    return item.ByteSizeLong();
  };
  return WalkObjects<Response, Container>(node.containers.List(), std::move(add));
}

}  // namespace davit::server
