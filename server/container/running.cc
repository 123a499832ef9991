// SPDX-License-Identifier: Apache-2.0
#include "server/container/running.h"

#include "base/id.h"
#include "base/status.h"

namespace davit::server {

absl::StatusOr<std::shared_ptr<Container>> FindRunning(const Node& node, const std::string& id,
                                                       const char* what) {
  ASSIGN_OR_RETURN(auto container, node.containers.Find(id));
  const auto state = container->record()->state();
  if (state != davit::state::v1::CONTAINER_RUNNING) {
    return FailedPrecondition("container {} is not running but {}: cannot {}",
                              ShortId(container->id()),
                              davit::state::v1::ContainerState_Name(state), what);
  }
  return container;
}

}  // namespace davit::server
