// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/resolve.h"
#include "server/cli/table.h"

namespace davit::server::cli {
namespace {

// The response with the JSON texts of its verbose info unfolded.
template <typename Response>
std::string Unfold(const Response& response) {
  auto json = ParseJson(ToJson(response), "response", 64U << 20U);
  if (!json.ok()) {
    return ToJson(response);
  }
  if (json->contains("info")) {
    for (auto& [key, value] : (*json)["info"].items()) {
      if (auto inner = ParseJson(value.template get<std::string>(), key, 64U << 20U); inner.ok()) {
        value = *std::move(inner);
      }
    }
  }
  return DumpJson(*json, 2) + "\n";
}

absl::StatusOr<std::string> InspectImage(Client& client, const std::string& name) {
  runtime::v1::ImageStatusRequest request;
  request.mutable_image()->set_image(name);
  request.set_verbose(true);
  ASSIGN_OR_RETURN(const auto response, DAVIT_IMAGE_CALL(client, ImageStatus, request));
  if (!response.has_image()) {
    return NotFound("no container, pod or image is called {}", name);
  }
  return Unfold(response);
}

absl::StatusOr<std::string> Inspect(Client& client, const std::string& name) {
  const auto object = Resolve(client, name);
  if (absl::IsNotFound(object.status())) {
    return InspectImage(client, name);
  }
  RETURN_IF_ERROR(object.status());
  if (object->is_pod) {
    runtime::v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(object->id);
    request.set_verbose(true);
    ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, PodSandboxStatus, request));
    return Unfold(response);
  }
  runtime::v1::ContainerStatusRequest request;
  request.set_container_id(object->id);
  request.set_verbose(true);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, ContainerStatus, request));
  return Unfold(response);
}

}  // namespace

absl::Status RunInspect(const Globals& globals, const std::vector<std::string>& objects) {
  Client client(globals.socket);
  for (const auto& name : objects) {
    ASSIGN_OR_RETURN(const std::string text, Inspect(client, name));
    fmt::print("{}", text);
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
