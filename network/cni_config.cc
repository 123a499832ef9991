// SPDX-License-Identifier: Apache-2.0
#include "network/cni_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::network {
namespace {

using nlohmann::json;

constexpr size_t kMaxConfigBytes = 1U << 20U;
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxPlugins = 32;
// Oldest first. Results of versions before 0.3.0 have another shape.
constexpr std::array<std::string_view, 5> kVersions = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

int VersionRank(std::string_view version) {
  const auto* found = std::find(kVersions.begin(), kVersions.end(), version);
  return found == kVersions.end() ? -1 : static_cast<int>(found - kVersions.begin());
}

// "cniVersion", or the newest that is supported here of it and "cniVersions" (a list since 1.1).
absl::StatusOr<std::string> PickVersion(const json& root, const std::string& file) {
  const std::string stated = JsonString(root, "cniVersion");
  int best = VersionRank(stated);
  for (const json& other : JsonChild(root, "cniVersions")) {
    if (other.is_string()) {
      best = std::max(best, VersionRank(other.get_ref<const std::string&>()));
    }
  }
  if (best >= 0) {
    return std::string(kVersions[static_cast<size_t>(best)]);
  }
  if (stated.empty()) {
    return InvalidArgument("{}: cniVersion is missing, set it to a version from {} to {}", file,
                           kVersions.front(), kVersions.back());
  }
  return InvalidArgument("{}: cniVersion \"{}\" is not supported, use a version from {} to {}",
                         file, Printable(stated, 40), kVersions.front(), kVersions.back());
}

// A type becomes a file name below the plugin directories.
bool IsValidType(std::string_view type) {
  return !type.empty() && type.size() <= kMaxNameBytes && type != "." && type != ".." &&
         type.find_first_of(std::string_view("/\\\0:", 4)) == std::string_view::npos;
}

std::vector<std::string> Capabilities(const json& plugin) {
  std::vector<std::string> result;
  for (const auto& [key, enabled] : JsonChild(plugin, "capabilities").items()) {
    if (enabled.is_boolean() && enabled.get<bool>()) {
      result.push_back(key);
    }
  }
  return result;
}

absl::StatusOr<PluginConfig> ParsePlugin(json plugin, const NetworkConfig& network, size_t index) {
  if (!plugin.is_object()) {
    return InvalidArgument("{}: plugins[{}] is not an object", network.file, index);
  }
  PluginConfig result;
  result.type = JsonString(plugin, "type");
  result.ipam_type = JsonString(JsonChild(plugin, "ipam"), "type");
  if (!IsValidType(result.type)) {
    return InvalidArgument(
        "{}: plugins[{}] has no valid type (\"{}\"), it must name a plugin binary", network.file,
        index, Printable(result.type, 40));
  }
  if (!result.ipam_type.empty() && !IsValidType(result.ipam_type)) {
    return InvalidArgument("{}: plugin {} has no valid ipam type (\"{}\")", network.file,
                           result.type, Printable(result.ipam_type, 40));
  }
  result.capabilities = Capabilities(plugin);
  // These are the runtime's to give.
  for (const char* key : {"capabilities", "runtimeConfig", "prevResult"}) {
    plugin.erase(key);
  }
  plugin["name"] = network.name;
  plugin["cniVersion"] = network.cni_version;
  result.stdin_head = DumpJson(plugin);
  result.stdin_head.pop_back();
  return result;
}

// The list that the single configuration stands for, as other users of the result cache expect it.
json WrapSingle(json plugin) {
  json list = json::object();
  for (const char* key : {"name", "cniVersion", "cniVersions", "disableCheck", "disableGC"}) {
    if (plugin.contains(key)) {
      list[key] = plugin[key];
    }
  }
  list["plugins"] = json::array({std::move(plugin)});
  return list;
}

absl::StatusOr<json> ParseList(std::string_view text, const std::string& file) {
  if (Trim(text).empty()) {
    return InvalidArgument("{}: the file is empty", file);
  }
  ASSIGN_OR_RETURN(json root, ParseJson(text, file, kMaxConfigBytes));
  if (!root.is_object()) {
    return InvalidArgument("{}: a network configuration is a JSON object", file);
  }
  if (!root.contains("plugins") && root.contains("type")) {
    root = WrapSingle(std::move(root));
  }
  const json& plugins = JsonChild(root, "plugins");
  if (!plugins.is_array() || plugins.empty()) {
    return InvalidArgument("{}: the network has no plugins, list at least one in \"plugins\"",
                           file);
  }
  if (plugins.size() > kMaxPlugins) {
    return InvalidArgument("{}: the network has {} plugins, at most {} are allowed", file,
                           plugins.size(), kMaxPlugins);
  }
  return root;
}

}  // namespace

bool Wants(const PluginConfig& plugin, std::string_view capability) {
  const auto& wants = plugin.capabilities;
  return std::find(wants.begin(), wants.end(), capability) != wants.end();
}

bool Wants(const NetworkConfig& network, std::string_view capability) {
  return std::any_of(network.plugins.begin(), network.plugins.end(),
                     [&](const PluginConfig& plugin) { return Wants(plugin, capability); });
}

bool IsValidName(std::string_view name) {
  const auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !name.empty() && name.size() <= kMaxNameBytes && alnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; });
}

absl::StatusOr<NetworkConfig> ParseNetworkConfig(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(json root, ParseList(text, file));
  NetworkConfig network;
  network.file = file;
  network.name = JsonString(root, "name");
  if (!IsValidName(network.name)) {
    return InvalidArgument(
        "{}: \"{}\" is not a valid network name, use letters, digits, \"_\", \".\" and \"-\"", file,
        Printable(network.name, 40));
  }
  ASSIGN_OR_RETURN(network.cni_version, PickVersion(root, file));
  network.list_json = DumpJson(root);
  network.has_status = VersionRank(network.cni_version) >= VersionRank("1.1.0");
  network.disable_gc = JsonBool(root, "disableGC");
  network.disable_check = JsonBool(root, "disableCheck") || network.cni_version.starts_with("0.3.");
  size_t index = 0;
  for (json& plugin : root["plugins"]) {
    ASSIGN_OR_RETURN(PluginConfig parsed, ParsePlugin(std::move(plugin), network, index++));
    network.plugins.push_back(std::move(parsed));
  }
  return network;
}

}  // namespace davit::network
