// SPDX-License-Identifier: Apache-2.0
#include "network/result.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "network/cni_config.h"

namespace davit::network {
namespace {

using nlohmann::json;

constexpr size_t kMaxResultBytes = 1U << 20U;
constexpr size_t kMaxIps = 64;
constexpr size_t kMaxDnsEntries = 64;

// AF_INET, AF_INET6 or nothing.
std::optional<int> IpFamily(const std::string& ip) {
  std::array<unsigned char, sizeof(in6_addr)> buffer{};
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, ip.c_str(), buffer.data()) == 1) {
      return family;
    }
  }
  return std::nullopt;
}

struct IpPrefix {
  std::string ip;
  int family = 0;
};

std::optional<IpPrefix> ParseIpPrefix(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  IpPrefix result{std::string(text.substr(0, slash)), 0};
  const std::optional<int> family = IpFamily(result.ip);
  const std::optional<uint64_t> length = ParseUint(text.substr(slash + 1));
  if (!family || !length || *length > (*family == AF_INET ? 32U : 128U)) {
    return std::nullopt;
  }
  result.family = *family;
  return result;
}

// Addresses may belong to the host's end (the bridge): those name an interface without a sandbox.
absl::StatusOr<bool> IsPodAddress(const json& ip, const json& interfaces, size_t index) {
  const auto found = ip.find("interface");
  if (found == ip.end() || found->is_null()) {
    return true;
  }
  const int64_t number = JsonInt(ip, "interface", -1);
  if (number < 0 || static_cast<uint64_t>(number) >= interfaces.size()) {
    return Internal("ips[{}] refers to an interface that is not listed", index);
  }
  const json& interface = interfaces[static_cast<size_t>(number)];
  return !JsonString(interface, "sandbox").empty() &&
         JsonString(interface, "name") == kInterfaceName;
}

absl::Status CheckGateway(const json& ip, size_t index) {
  const std::string gateway = JsonString(ip, "gateway");
  if (!gateway.empty() && !IpFamily(gateway)) {
    return Internal("ips[{}] has an invalid gateway \"{}\"", index, Printable(gateway, 60));
  }
  return absl::OkStatus();
}

// The pod's addresses, with prefix length.
absl::StatusOr<std::vector<std::string>> CheckIps(json& root, bool needs_family) {
  std::vector<std::string> result;
  const json interfaces = JsonChild(root, "interfaces");
  const auto ips = root.find("ips");
  if (ips == root.end() || ips->is_null()) {
    return result;
  }
  if (!ips->is_array() || ips->size() > kMaxIps ||
      (!interfaces.empty() && !interfaces.is_array())) {
    return Internal("\"ips\" or \"interfaces\" is not a list of sensible length");
  }
  for (size_t i = 0; i < ips->size(); ++i) {
    json& ip = (*ips)[i];
    const std::string address = JsonString(ip, "address");
    const std::optional<IpPrefix> parsed = ParseIpPrefix(address);
    if (!parsed) {
      return Internal("ips[{}] has an invalid address \"{}\"", i, Printable(address, 60));
    }
    RETURN_IF_ERROR(CheckGateway(ip, i));
    if (needs_family) {
      ip["version"] = parsed->family == AF_INET ? "4" : "6";
    } else {
      ip.erase("version");
    }
    ASSIGN_OR_RETURN(const bool of_pod, IsPodAddress(ip, interfaces, i));
    if (of_pod && std::find(result.begin(), result.end(), address) == result.end()) {
      result.push_back(address);
    }
  }
  return result;
}

// A space or newline in an entry would be another entry, or another line, of resolv.conf.
bool IsOneWord(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char byte) {
    return static_cast<unsigned char>(byte) > ' ' && byte != 0x7F;
  });
}

absl::StatusOr<std::vector<std::string>> DnsList(const json& dns, const char* key) {
  std::vector<std::string> result;
  const auto list = dns.find(key);
  if (list == dns.end() || list->is_null()) {
    return result;
  }
  if (!list->is_array() || list->size() > kMaxDnsEntries) {
    return Internal("dns.{} of the network's result is not a list of sensible length", key);
  }
  for (const json& entry : *list) {
    const std::string text = entry.is_string() ? entry.get<std::string>() : "";
    if (!IsOneWord(text)) {
      return Internal("dns.{} of the network's result holds \"{}\", which is not one word", key,
                      Printable(text, 60));
    }
    result.push_back(text);
  }
  return result;
}

}  // namespace

absl::StatusOr<PluginResult> ParseResult(std::string_view text, const std::string& version) {
  if (Trim(text).empty()) {
    return Internal("it printed no result");
  }
  absl::StatusOr<json> root = ParseJson(text, "result", kMaxResultBytes);
  if (!root.ok() || !root->is_object()) {
    return Internal("it printed no JSON object: \"{}\"", Printable(Trim(text)));
  }
  const std::string stated = JsonString(*root, "cniVersion");
  if (!stated.starts_with("0.3.") && !stated.starts_with("0.4.") && !stated.starts_with("1.")) {
    return Internal("its result has the unsupported cniVersion \"{}\"", Printable(stated, 40));
  }
  // 1.0 dropped the family of an address; everything else that differs is optional.
  const bool needs_family = version.starts_with("0.");
  PluginResult result;
  ASSIGN_OR_RETURN(const std::vector<std::string> addresses, CheckIps(*root, needs_family));
  for (const std::string& address : addresses) {
    const std::string ip = address.substr(0, address.find('/'));
    if (std::find(result.ips.begin(), result.ips.end(), ip) == result.ips.end()) {
      result.ips.push_back(ip);
    }
  }
  (*root)["cniVersion"] = version;
  result.json = DumpJson(*root);
  return result;
}

absl::StatusOr<std::vector<std::string>> PodAddresses(std::string_view result_json) {
  ASSIGN_OR_RETURN(json root, ParseJson(result_json, "CNI result", kMaxResultBytes));
  if (!root.is_object()) {
    return Internal("the CNI result is no JSON object");
  }
  return CheckIps(root, /*needs_family=*/false);
}

absl::StatusOr<DnsSettings> ResultDns(std::string_view result_json) {
  ASSIGN_OR_RETURN(const json root, ParseJson(result_json, "CNI result", kMaxResultBytes));
  const json& dns = JsonChild(root, "dns");
  DnsSettings result;
  ASSIGN_OR_RETURN(result.servers, DnsList(dns, "nameservers"));
  ASSIGN_OR_RETURN(result.searches, DnsList(dns, "search"));
  ASSIGN_OR_RETURN(result.options, DnsList(dns, "options"));
  for (const std::string& server : result.servers) {
    if (!IpFamily(server)) {
      return Internal("dns.nameservers of the network's result holds \"{}\", which is no address",
                      Printable(server, 60));
    }
  }
  const std::string domain = JsonString(dns, "domain");
  if (result.searches.empty() && !domain.empty()) {
    if (!IsOneWord(domain)) {
      return Internal("dns.domain of the network's result is \"{}\", which is not one word",
                      Printable(domain, 60));
    }
    result.searches.push_back(domain);
  }
  return result;
}

std::vector<std::string> SupportedVersions(std::string_view text) {
  std::vector<std::string> result;
  const absl::StatusOr<json> root = ParseJson(text, "versions", kMaxResultBytes);
  if (root.ok() && root->is_object()) {
    for (const json& version : JsonChild(*root, "supportedVersions")) {
      if (version.is_string() && result.size() < kMaxIps) {
        result.push_back(Printable(version.get_ref<const std::string&>(), 20));
      }
    }
  }
  return result;
}

std::string PluginErrorText(int code, std::string_view out, std::string_view err) {
  const absl::StatusOr<json> root = ParseJson(out, "error", kMaxResultBytes);
  if (root.ok() && root->is_object()) {
    const std::string message = JsonString(*root, "msg");
    const std::string details = JsonString(*root, "details");
    if (!message.empty() || !details.empty()) {
      const char* separator = message.empty() || details.empty() ? "" : "; ";
      return Printable(message + separator + details, 2000);
    }
  }
  const std::string_view text = Trim(out).empty() ? Trim(err) : Trim(out);
  return text.empty() ? fmt::format("it exited with {} and printed nothing", code)
                      : fmt::format("it exited with {} and printed \"{}\"", code, Printable(text));
}

bool IsIpWithPrefix(std::string_view text) {
  return ParseIpPrefix(text).has_value();
}

}  // namespace davit::network
