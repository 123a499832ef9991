// SPDX-License-Identifier: Apache-2.0
#include "server/update.h"

#include <memory>
#include <utility>

#include "base/status.h"
#include "server/state/state_db.h"

namespace davit::server {
namespace {

template <typename Object>
absl::Status UpdateObject(Node& node, Object& object,
                          const std::function<void(typename Object::Record&)>& change) {
  auto next = std::make_shared<typename Object::Record>(*object.record());
  change(*next);
  RETURN_IF_ERROR(node.state.Save(*next));
  object.set_record(std::move(next));
  return absl::OkStatus();
}

}  // namespace

absl::Status Update(Node& node, Sandbox& sandbox,
                    const std::function<void(Sandbox::Record&)>& change) {
  return UpdateObject(node, sandbox, change);
}

absl::Status Update(Node& node, Container& container,
                    const std::function<void(Container::Record&)>& change) {
  return UpdateObject(node, container, change);
}

}  // namespace davit::server
