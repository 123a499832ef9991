// SPDX-License-Identifier: Apache-2.0
//
// What a user namespace of the pod's own asks of its containers.
#include <algorithm>

#include "base/status.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

using Mappings = google::protobuf::RepeatedPtrField<runtime::v1::IDMapping>;

bool SameMappings(const Mappings& a, const Mappings& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.host_id() == y.host_id() && x.container_id() == y.container_id() &&
           x.length() == y.length();
  });
}

const runtime::v1::UserNamespace& PodUserNamespace(const SpecInput& input) {
  return input.sandbox.linux().security_context().namespace_options().userns_options();
}

absl::Status CheckId(const Mappings& mappings, const char* what, int64_t id) {
  if (IsMapped(mappings, id)) {
    return absl::OkStatus();
  }
  return InvalidArgument(
      "{} {} has no ID on the host: the pod's userns_options map {} IDs from 0 on; run it as "
      "another one, or map more",
      what, id, mappings.empty() ? 0 : mappings[0].length());
}

}  // namespace

bool IsMapped(const Mappings& mappings, int64_t id) {
  return std::any_of(mappings.begin(), mappings.end(), [id](const auto& range) {
    return id >= int64_t{range.container_id()} &&
           id < int64_t{range.container_id()} + int64_t{range.length()};
  });
}

absl::Status CheckUserNamespace(const SpecInput& input) {
  const auto& options = SecurityContext(input).namespace_options();
  if (!options.has_userns_options()) {
    return absl::OkStatus();
  }
  const runtime::v1::UserNamespace& asked = options.userns_options();
  const runtime::v1::UserNamespace& pod = PodUserNamespace(input);
  const bool own = HasUserNamespace(input.sandbox);
  if (asked.mode() != (own ? runtime::v1::POD : runtime::v1::NODE)) {
    return InvalidArgument(
        "namespace_options.userns_options.mode: the pod is in {}, and with it all its containers",
        own ? "a user namespace of its own (POD)" : "the node's user namespace (NODE)");
  }
  if (own && (!SameMappings(asked.uids(), pod.uids()) || !SameMappings(asked.gids(), pod.gids()))) {
    return InvalidArgument(
        "namespace_options.userns_options.{}: differ from the pod's, in whose user namespace all "
        "its containers are",
        SameMappings(asked.uids(), pod.uids()) ? "gids" : "uids");
  }
  return absl::OkStatus();
}

absl::Status CheckUserIsMapped(const SpecInput& input, const User& user) {
  if (!HasUserNamespace(input.sandbox)) {
    return absl::OkStatus();
  }
  const runtime::v1::UserNamespace& pod = PodUserNamespace(input);
  RETURN_IF_ERROR(CheckId(pod.uids(), "user", user.uid));
  RETURN_IF_ERROR(CheckId(pod.gids(), "group", user.gid));
  for (const int64_t group : user.groups) {
    RETURN_IF_ERROR(CheckId(pod.gids(), "supplemental group", group));
  }
  return absl::OkStatus();
}

bool IsMappedAsPod(const SpecInput& input, const runtime::v1::Mount& mount) {
  const runtime::v1::UserNamespace& pod = PodUserNamespace(input);
  return HasUserNamespace(input.sandbox) && SameMappings(mount.uidmappings(), pod.uids()) &&
         SameMappings(mount.gidmappings(), pod.gids());
}

Json IdMappingsJson(const Mappings& mappings) {
  Json list = Json::array();
  for (const auto& range : mappings) {
    list.push_back({{"containerID", range.container_id()},
                    {"hostID", range.host_id()},
                    {"size", range.length()}});
  }
  return list;
}

}  // namespace davit::server::spec
