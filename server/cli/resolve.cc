// SPDX-License-Identifier: Apache-2.0
#include "server/cli/resolve.h"

#include <vector>

namespace davit::server::cli {
namespace {

bool HasPrefix(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

absl::StatusOr<std::vector<Object>> Candidates(Client& client, const std::string& name) {
  std::vector<Object> by_id;
  const runtime::v1::Container* newest = nullptr;
  ASSIGN_OR_RETURN(const auto containers, DAVIT_RUNTIME_CALL(client, ListContainers,
                                                             runtime::v1::ListContainersRequest()));
  for (const auto& container : containers.containers()) {
    if (HasPrefix(container.id(), name)) {
      by_id.push_back({.is_pod = false, .id = container.id()});
    }
    if (container.metadata().name() == name &&
        (newest == nullptr || newest->created_at() < container.created_at())) {
      newest = &container;
    }
  }
  ASSIGN_OR_RETURN(const auto pods, DAVIT_RUNTIME_CALL(client, ListPodSandbox,
                                                       runtime::v1::ListPodSandboxRequest()));
  std::vector<Object> by_name;
  if (newest != nullptr) {
    by_name.push_back({.is_pod = false, .id = newest->id()});
  }
  for (const auto& pod : pods.items()) {
    if (HasPrefix(pod.id(), name)) {
      by_id.push_back({.is_pod = true, .id = pod.id()});
    }
    if (pod.metadata().name() == name) {
      by_name.push_back({.is_pod = true, .id = pod.id()});
    }
  }
  return by_name.empty() ? by_id : by_name;
}

}  // namespace

absl::StatusOr<Object> Resolve(Client& client, const std::string& name) {
  if (name.empty()) {
    return InvalidArgument("an empty name means nothing");
  }
  ASSIGN_OR_RETURN(const auto found, Candidates(client, name));
  if (found.empty()) {
    return NotFound("no container or pod is called {}; `davit ps -a` and `davit pods` list them",
                    name);
  }
  if (found.size() > 1) {
    std::string all;
    for (const auto& object : found) {
      all += std::string("\n  ") + (object.is_pod ? "pod " : "container ") + object.id;
    }
    return InvalidArgument("{} could mean:{}", name, all);
  }
  return found.front();
}

absl::StatusOr<std::string> ResolveContainer(Client& client, const std::string& name) {
  ASSIGN_OR_RETURN(const Object object, Resolve(client, name));
  if (object.is_pod) {
    return InvalidArgument("{} is a pod; name one of its containers (`davit ps -a --pod {}`)", name,
                           name);
  }
  return object.id;
}

}  // namespace davit::server::cli
