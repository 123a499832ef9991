// SPDX-License-Identifier: Apache-2.0
//
// What a plugin printed for ADD: foreign text, checked before anything is taken from it. Pure
// functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::network {

struct PluginResult {
  // The result in the network's version, fit as prevResult of the next plugin.
  std::string json;
  // The pod interface's addresses without prefix length, in the plugin's order, none twice.
  std::vector<std::string> ips;
};

// Internal says what is wrong with the text (with a printable excerpt where it is no JSON).
// `version` is the network's: a result in another supported one is brought to it.
absl::StatusOr<PluginResult> ParseResult(std::string_view text, const std::string& version);

// The pod interface's addresses in a result that was checked before, with prefix length.
absl::StatusOr<std::vector<std::string>> PodAddresses(std::string_view result_json);

// What a network says about names: `dns` of its result.
struct DnsSettings {
  std::vector<std::string> servers;   // addresses
  std::vector<std::string> searches;  // `search`, or else `domain`
  std::vector<std::string> options;
};

// Of a result that was checked before; nothing if it says nothing. Internal names an entry that
// could not stand in resolv.conf.
absl::StatusOr<DnsSettings> ResultDns(std::string_view result_json);

// The versions in what a plugin printed for VERSION; none if it is no answer to that.
std::vector<std::string> SupportedVersions(std::string_view text);

// The message of a plugin that exited with `code`: its error object, or else the code and an
// excerpt of what it printed.
std::string PluginErrorText(int code, std::string_view out, std::string_view err);

// "10.1.2.3/16", "fd00::1/64".
[[nodiscard]] bool IsIpWithPrefix(std::string_view text);

}  // namespace davit::network
