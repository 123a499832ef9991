// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "base/status.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

// Network and IPC are the pod's, whatever the mode of a container: POD, or nothing said, is all
// that a container can mean. What asks for the host's instead is refused, not given the pod's.
absl::Status CheckPodNamespaces(const SpecInput& input) {
  const auto& options = SecurityContext(input).namespace_options();
  const std::pair<const char*, bool> asked[] = {
      {"network", options.network() == runtime::v1::NODE && !input.namespaces.net.empty()},
      {"ipc", options.ipc() == runtime::v1::NODE && !input.namespaces.ipc.empty()}};
  for (const auto& [field, mismatch] : asked) {
    if (mismatch) {
      return InvalidArgument(
          "namespace_options.{} NODE: the pod has a namespace of its own, which its containers "
          "share",
          field);
    }
  }
  if (HasUserNamespace(input.sandbox) && input.namespaces.host_pid) {
    return InvalidArgument(
        "namespace_options.pid NODE: the pod has a user namespace of its own, from which the "
        "host's processes cannot be seen");
  }
  if (!options.target_id().empty() && options.pid() != runtime::v1::TARGET) {
    return InvalidArgument("namespace_options.target_id: needs pid TARGET");
  }
  return absl::OkStatus();
}

void AddJoined(Json& list, const char* type, const std::string& path) {
  if (!path.empty()) {
    list.push_back({{"type", type}, {"path", path}});
  }
}

}  // namespace

absl::StatusOr<Json> BuildNamespaces(const SpecInput& input) {
  RETURN_IF_ERROR(CheckUserNamespace(input));
  RETURN_IF_ERROR(CheckPodNamespaces(input));
  if (HasUserNamespace(input.sandbox) == input.namespaces.user.empty()) {
    return Internal("the pod's user namespace is not the one that it asks for");
  }
  Json list = Json::array();
  AddJoined(list, "user", input.namespaces.user);
  list.push_back({{"type", "mount"}});
  if (!input.namespaces.host_pid) {
    if (input.namespaces.pid.empty()) {
      list.push_back({{"type", "pid"}});
    } else {
      AddJoined(list, "pid", input.namespaces.pid);
    }
  }
  AddJoined(list, "network", input.namespaces.net);
  AddJoined(list, "ipc", input.namespaces.ipc);
  AddJoined(list, "uts", input.namespaces.uts);
  // A privileged container manages the host's cgroups and so keeps the host's view of them.
  if (input.cgroup_v2 && !IsPrivileged(input)) {
    list.push_back({{"type", "cgroup"}});
  }
  return list;
}

}  // namespace davit::server::spec
