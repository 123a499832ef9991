// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

absl::Status CheckUserNamespace(const runtime::v1::NamespaceOption& options,
                                const std::string& where) {
  if (options.has_userns_options() && options.userns_options().mode() != runtime::v1::NODE) {
    return Unimplemented(
        "{}namespace_options.userns_options: user namespaces are not supported; "
        "set mode NODE (hostUsers: true)",
        where);
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
  RETURN_IF_ERROR(CheckUserNamespace(SecurityContext(input).namespace_options(), ""));
  RETURN_IF_ERROR(
      CheckUserNamespace(input.sandbox.linux().security_context().namespace_options(), "sandbox "));
  Json list = Json::array();
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
