// SPDX-License-Identifier: Apache-2.0
//
// One CNI network as its file states it, parsed once: what is executed, in which order, and the
// part of each plugin's stdin that does not depend on the pod, ready as text. Plain values; no
// disk.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::network {

// The pod's interface. The kubelet knows one network a pod.
inline constexpr char kInterfaceName[] = "eth0";

struct PluginConfig {
  std::string type;
  std::string ipam_type;                  // "" without address management
  std::vector<std::string> capabilities;  // the runtime arguments that it asks for
  // Its configuration with name and cniVersion, without the closing brace: the caller appends
  // `,"runtimeConfig":{…}`, `,"prevResult":{…}` and `}`.
  std::string stdin_head;
};

struct NetworkConfig {
  std::string name;
  std::string cni_version;
  std::string file;            // where it came from, for people
  std::string list_json;       // as a plugin list, also where the file held a single plugin
  bool has_status = false;     // the version knows STATUS and GC (1.1.0)
  bool disable_gc = false;     // the file says so
  bool disable_check = false;  // likewise, or the version has no CHECK (before 0.4.0)
  std::vector<PluginConfig> plugins;
};

// Whether a plugin asks for the capability.
[[nodiscard]] bool Wants(const PluginConfig& plugin, std::string_view capability);
[[nodiscard]] bool Wants(const NetworkConfig& network, std::string_view capability);

// A name as the specification has it (letter or digit, then also "_", ".", "-"), at most 128 bytes:
// safe as part of a file name.
[[nodiscard]] bool IsValidName(std::string_view name);

// InvalidArgument names `file` and what is wrong there. A text with "plugins" is a list, one with
// "type" a single plugin.
absl::StatusOr<NetworkConfig> ParseNetworkConfig(std::string_view text, const std::string& file);

}  // namespace davit::network
