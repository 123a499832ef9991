// SPDX-License-Identifier: Apache-2.0
#include "network/runtime_args.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "network/cni_config.h"
#include "network/result.h"

namespace davit::network {
namespace {

using nlohmann::json;

constexpr char kIngress[] = "kubernetes.io/ingress-bandwidth";
constexpr char kEgress[] = "kubernetes.io/egress-bandwidth";
// The range that Kubernetes allows, in bits a second.
constexpr int64_t kMinRate = 1000;
constexpr int64_t kMaxRate = 1'000'000'000'000'000;
// No burst limit: the most that every version of the plugin takes.
constexpr int64_t kBurst = std::numeric_limits<int32_t>::max();

bool IsIp(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> buffer{};
  return inet_pton(AF_INET, text.c_str(), buffer.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), buffer.data()) == 1;
}

// A port without a host port is only information.
absl::StatusOr<json> Ports(const PodNetwork& pod) {
  json result = json::array();
  for (const PortMapping& port : pod.port_mappings) {
    if (port.host_port <= 0) {
      continue;
    }
    RETURN_IF_ERROR(CheckPort(port));
    json item = {{"hostPort", port.host_port},
                 {"containerPort", port.container_port},
                 {"protocol", port.protocol}};
    if (!port.host_ip.empty()) {
      item["hostIP"] = port.host_ip;
    }
    result.push_back(std::move(item));
  }
  return result;
}

absl::Status AddRate(const PodNetwork& pod, const char* annotation, const std::string& direction,
                     json& bandwidth) {
  const auto found = pod.annotations.find(annotation);
  if (found == pod.annotations.end()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<int64_t> rate = ParseQuantity(found->second);
  if (!rate.ok()) {
    return Annotate(rate.status(), fmt::format("annotation {}", annotation));
  }
  if (*rate < kMinRate || *rate > kMaxRate) {
    return InvalidArgument("annotation {}: \"{}\" is not between 1k and 1P", annotation,
                           Printable(found->second, 40));
  }
  bandwidth[direction + "Rate"] = *rate;
  bandwidth[direction + "Burst"] = kBurst;
  return absl::OkStatus();
}

absl::StatusOr<json> Bandwidth(const PodNetwork& pod) {
  json result = json::object();
  RETURN_IF_ERROR(AddRate(pod, kIngress, "ingress", result));
  RETURN_IF_ERROR(AddRate(pod, kEgress, "egress", result));
  return result;
}

json Dns(const PodNetwork& pod) {
  json result = json::object();
  const auto put = [&](const char* key, const std::vector<std::string>& values) {
    if (!values.empty()) {
      result[key] = values;
    }
  };
  put("servers", pod.dns_servers);
  put("searches", pod.dns_searches);
  put("options", pod.dns_options);
  return result;
}

absl::StatusOr<json> Ips(const PodNetwork& pod) {
  json result = json::array();
  for (const std::string& ip : pod.static_ips) {
    if (!IsIp(ip) && !IsIpWithPrefix(ip)) {
      return InvalidArgument("\"{}\" cannot be a pod's address", Printable(ip, 60));
    }
    result.push_back(ip);
  }
  return result;
}

// Six bytes in hexadecimal digits. One for a group of stations cannot be a sender's.
absl::Status CheckMac(const std::string& mac) {
  const std::vector<std::string> bytes = Split(mac, ':');
  const bool valid =
      bytes.size() == 6 && std::all_of(bytes.begin(), bytes.end(), [](const std::string& byte) {
        return byte.size() == 2 &&
               byte.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
      });
  if (!valid || std::string_view("13579bdfBDF").find(bytes[0][1]) != std::string_view::npos) {
    return InvalidArgument("\"{}\" cannot be a pod's MAC address", Printable(mac, 60));
  }
  return absl::OkStatus();
}

absl::StatusOr<json> Aliases(const PodNetwork& pod) {
  json result = json::array();
  for (const std::string& alias : pod.aliases) {
    if (!IsValidName(alias)) {
      return InvalidArgument("\"{}\" cannot be another name of a pod in its network",
                             Printable(alias, 60));
    }
    result.push_back(alias);
  }
  return result;
}

std::optional<long double> Multiplier(std::string_view suffix) {
  struct Suffix {
    std::string_view name;
    long double factor;
  };
  constexpr std::array<Suffix, 14> kSuffixes = {{{"", 1.0L},
                                                 {"m", 1e-3L},
                                                 {"k", 1e3L},
                                                 {"M", 1e6L},
                                                 {"G", 1e9L},
                                                 {"T", 1e12L},
                                                 {"P", 1e15L},
                                                 {"E", 1e18L},
                                                 {"Ki", 0x1p10L},
                                                 {"Mi", 0x1p20L},
                                                 {"Gi", 0x1p30L},
                                                 {"Ti", 0x1p40L},
                                                 {"Pi", 0x1p50L},
                                                 {"Ei", 0x1p60L}}};
  for (const Suffix& known : kSuffixes) {
    if (known.name == suffix) {
      return known.factor;
    }
  }
  return std::nullopt;
}

// "e6", "E-3": the decimal exponent form; a bare "E" is the suffix for 10^18.
std::optional<long double> Exponent(std::string_view suffix) {
  if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E')) {
    return std::nullopt;
  }
  const std::optional<int64_t> power = ParseInt(suffix.substr(suffix[1] == '+' ? 2 : 1));
  if (!power || *power > 18 || *power < -18) {
    return std::nullopt;
  }
  return std::pow(10.0L, static_cast<long double>(*power));
}

}  // namespace

absl::Status CheckPort(const PortMapping& port) {
  if (port.host_port > 65535 || port.container_port < 1 || port.container_port > 65535) {
    return InvalidArgument("port mapping {} to {} is out of range 1 to 65535", port.host_port,
                           port.container_port);
  }
  if (port.protocol != "tcp" && port.protocol != "udp" && port.protocol != "sctp") {
    return InvalidArgument("port mapping {} to {} has the unknown protocol \"{}\"", port.host_port,
                           port.container_port, Printable(port.protocol, 20));
  }
  if (!port.host_ip.empty() && !IsIp(port.host_ip)) {
    return InvalidArgument("port mapping {} to {} has the invalid host address \"{}\"",
                           port.host_port, port.container_port, Printable(port.host_ip, 60));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ParseQuantity(std::string_view text) {
  const size_t end = std::min(text.find_first_not_of("+0123456789."), text.size());
  const std::string_view suffix = text.substr(end);
  std::string_view digits = text.substr(0, end);
  if (digits.starts_with('+')) {
    digits.remove_prefix(1);
  }
  double number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number,
                                      std::chars_format::fixed);
  std::optional<long double> factor = Multiplier(suffix);
  if (!factor) {
    factor = Exponent(suffix);
  }
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || !factor) {
    return InvalidArgument("\"{}\" is not a resource quantity such as 10M or 1Gi",
                           Printable(text, 40));
  }
  // The last bits of 0.1M must not make it 100001.
  const long double value = std::ceil(static_cast<long double>(number) * *factor - 1e-6L);
  if (value >= 0x1p63L) {
    return InvalidArgument("\"{}\" is too large", Printable(text, 40));
  }
  return static_cast<int64_t>(value);
}

absl::StatusOr<std::map<std::string, std::string>> CapabilityArgs(const PodNetwork& pod) {
  std::map<std::string, std::string> result;
  const auto put = [&](const char* capability, const json& value) {
    if (!value.empty()) {
      result[capability] = DumpJson(value);
    }
  };
  ASSIGN_OR_RETURN(const json ports, Ports(pod));
  put(kPortMappings, ports);
  ASSIGN_OR_RETURN(const json bandwidth, Bandwidth(pod));
  put("bandwidth", bandwidth);
  put("dns", Dns(pod));
  ASSIGN_OR_RETURN(const json ips, Ips(pod));
  put("ips", ips);
  if (!pod.mac.empty()) {
    RETURN_IF_ERROR(CheckMac(pod.mac));
    put("mac", json(pod.mac));
  }
  ASSIGN_OR_RETURN(const json aliases, Aliases(pod));
  put("aliases", aliases);
  if (!pod.cgroup_path.empty()) {
    put("cgroupPath", json(pod.cgroup_path));
  }
  put("io.kubernetes.cri.pod-annotations", json(pod.annotations));
  return result;
}

absl::StatusOr<CniArgs> PodArgs(const PodNetwork& pod) {
  CniArgs args = {{"IgnoreUnknown", "1"},
                  {"K8S_POD_NAMESPACE", pod.name_space},
                  {"K8S_POD_NAME", pod.name},
                  {"K8S_POD_INFRA_CONTAINER_ID", pod.sandbox_id},
                  {"K8S_POD_UID", pod.uid}};
  for (const auto& [key, value] : args) {
    if (value.find_first_of(std::string_view(";=\n\0", 4)) != std::string::npos) {
      return InvalidArgument("pod {}: {} \"{}\" cannot be handed to network plugins",
                             pod.sandbox_id, key, Printable(value, 80));
    }
  }
  return args;
}

std::string JoinArgs(const CniArgs& args) {
  std::string result;
  for (const auto& [key, value] : args) {
    result += (result.empty() ? "" : ";") + key + "=" + value;
  }
  return result;
}

}  // namespace davit::network
