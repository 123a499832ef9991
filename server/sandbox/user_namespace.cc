// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/user_namespace.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;

constexpr char kNoGroup[] = "1 0";

std::vector<storage::IdRange> Ranges(
    const google::protobuf::RepeatedPtrField<v1::IDMapping>& list) {
  std::vector<storage::IdRange> ranges;
  for (const auto& range : list) {
    ranges.push_back(
        {.inside = range.container_id(), .outside = range.host_id(), .count = range.length()});
  }
  return ranges;
}

}  // namespace

absl::Status CheckUserNamespace(const v1::PodSandboxConfig& config) {
  const auto& options = config.linux().security_context().namespace_options();
  const v1::UserNamespace& user = options.userns_options();
  const std::string where = "sandbox config: namespace_options.";
  if (!options.has_userns_options() || user.mode() == v1::NODE) {
    return user.uids().empty() && user.gids().empty()
               ? absl::OkStatus()
               : InvalidArgument("{}userns_options.{}: mode NODE has no mappings", where,
                                 user.uids().empty() ? "gids" : "uids");
  }
  if (user.mode() != v1::POD) {
    return InvalidArgument("{}userns_options.mode {}: must be POD or NODE", where,
                           v1::NamespaceMode_IsValid(user.mode())
                               ? v1::NamespaceMode_Name(user.mode())
                               : std::to_string(user.mode()));
  }
  for (const auto& [field, list] : {std::pair("uids", &user.uids()), {"gids", &user.gids()}}) {
    if (list->empty()) {
      return InvalidArgument("{}userns_options.{}: mode POD needs a mapping", where, field);
    }
    // One list at a time, so that the error names it.
    const storage::IdMappings one = {.uids = Ranges(*list), .gids = Ranges(*list)};
    if (const absl::Status status = storage::CheckMappings(one); !status.ok()) {
      return Annotate(status, fmt::format("{}userns_options.{}", where, field));
    }
  }
  for (const auto& [field, mode] : {std::pair("pid", options.pid()), {"ipc", options.ipc()}}) {
    if (mode == v1::NODE) {
      return InvalidArgument(
          "{}{} NODE: a pod with a user namespace of its own (userns_options.mode POD) cannot be "
          "in that namespace of the host",
          where, field);
    }
  }
  return absl::OkStatus();
}

storage::IdMappings PodIdMappings(const v1::PodSandboxConfig& config) {
  if (!spec::HasUserNamespace(config)) {
    return {};
  }
  const auto& user = config.linux().security_context().namespace_options().userns_options();
  return {.uids = Ranges(user.uids()), .gids = Ranges(user.gids())};
}

Owner PodRoot(const v1::PodSandboxConfig& config) {
  const storage::IdMappings mappings = PodIdMappings(config);
  return {.uid = storage::MapToHost(mappings.uids, 0), .gid = storage::MapToHost(mappings.gids, 0)};
}

absl::Status GiveToPodRoot(const v1::PodSandboxConfig& config, const std::string& path) {
  const Owner root = PodRoot(config);
  if (spec::HasUserNamespace(config) && lchown(path.c_str(), root.uid, root.gid) != 0) {
    return ErrnoStatus(errno, "give " + path + " to the root of a user namespace");
  }
  return absl::OkStatus();
}

std::string HostPingGroupRange(const std::string& value, const storage::IdMappings& mappings) {
  const std::vector<std::string> words = Words(value);
  if (mappings.empty() || words.size() != 2 || !ParseUint(words[0]) || !ParseUint(words[1])) {
    return value;
  }
  const uint64_t low = *ParseUint(words[0]);
  const uint64_t high = *ParseUint(words[1]);
  for (const storage::IdRange& range : mappings.gids) {
    if (low >= range.inside && low - range.inside < range.count && high >= low) {
      const uint64_t last = std::min<uint64_t>(high, uint64_t{range.inside} + range.count - 1);
      return fmt::format("{} {}", range.outside + (low - range.inside),
                         range.outside + (last - range.inside));
    }
  }
  return kNoGroup;
}

}  // namespace davit::server
