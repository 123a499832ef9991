// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "config/load.h"
#include "image/policy/checker.h"
#include "server/runtime/runtime_rpcs.h"
#include "server/storage_health.h"
#include "server/version.h"

namespace davit::server {
namespace {

void AddCondition(runtime::v1::RuntimeStatus& status, const char* type, const absl::Status& state,
                  const char* reason) {
  auto* condition = status.add_conditions();
  condition->set_type(type);
  condition->set_status(state.ok());
  if (!state.ok()) {
    condition->set_reason(reason);
    condition->set_message(Message(state));
  }
}

void AddHandler(const Node& node, runtime::v1::StatusResponse& response, const std::string& name,
                const oci::Runtime& runtime) {
  auto* handler = response.add_runtime_handlers();
  handler->set_name(name);
  handler->mutable_features()->set_recursive_read_only_mounts(
      runtime.features().recursive_read_only_mounts);
  handler->mutable_features()->set_user_namespaces(node.user_namespaces.ok() &&
                                                   runtime.features().user_namespaces);
}

nlohmann::json DescribeRuntimes(const oci::RuntimeTable& table) {
  nlohmann::json runtimes = nlohmann::json::object();
  for (const auto& runtime : table.List()) {
    runtimes[runtime->name()] = {{"path", runtime->path()}, {"version", runtime->version()}};
  }
  for (const auto& [name, why] : table.dropped()) {
    runtimes[name] = {{"unusable", why}};
  }
  return runtimes;
}

std::string SizeLimits(const Node& node) {
  const absl::Status status = node.storage.SizeLimits();
  return status.ok() ? "enforced" : Message(status);
}

std::string VerboseInfo(const Node& node) {
  nlohmann::json info = {
      {"version", kVersion},
      {"defaultRuntime", node.runtimes.default_name()},
      {"runtimes", DescribeRuntimes(node.runtimes)},
      {"cgroupMode", CgroupModeName(node.cgroups.mode())},
      {"cgroupManager", node.config.runtime.cgroup_manager},
      {"sandboxes", node.sandboxes.List().size()},
      {"containers", node.containers.List().size()},
      {"images", node.storage.ListImages().size()},
      {"signaturePolicy", node.policy.Describe()},
      {"rootfsSizeLimits", SizeLimits(node)},
      {"userNamespaces", node.user_namespaces.ok() ? "yes" : Message(node.user_namespaces)},
  };
  if (const absl::Status registries = node.puller.reload_error(); !registries.ok()) {
    info["registriesError"] = Message(registries);
  }
  if (node.health != nullptr) {
    info["storage"] = node.health->Describe();
  }
  if (auto network = ParseJson(node.cni.DescribeJson(), "network description"); network.ok()) {
    info["network"] = *std::move(network);
  }
  return DumpJson(info);
}

}  // namespace

absl::StatusOr<runtime::v1::StatusResponse> Status(Node& node, Context& /*ctx*/,
                                                   const runtime::v1::StatusRequest& request) {
  runtime::v1::StatusResponse response;
  // A daemon that answers has checked its storage and found an OCI runtime, or it would not run.
  AddCondition(*response.mutable_status(), "RuntimeReady", absl::OkStatus(), "");
  AddCondition(*response.mutable_status(), "NetworkReady", node.cni.Ready(),
               "NetworkPluginNotReady");
  // The kubelet looks the default handler up under the empty name.
  if (auto fallback = node.runtimes.Find(""); fallback.ok()) {
    AddHandler(node, response, "", **fallback);
  }
  for (const auto& runtime : node.runtimes.List()) {
    AddHandler(node, response, runtime->name(), *runtime);
  }
  response.mutable_features()->set_supplemental_groups_policy(true);
  response.mutable_features()->set_mount_options(true);
  response.mutable_features()->set_user_namespaces_host_network(node.user_namespaces.ok());
  if (request.verbose()) {
    (*response.mutable_info())["info"] = VerboseInfo(node);
    (*response.mutable_info())["config"] = config::ToYaml(node.config);
  }
  return response;
}

}  // namespace davit::server
