// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/resolv_conf.h"

#include "base/file.h"
#include "base/text.h"

namespace davit::server {
namespace {

constexpr size_t kMaxBytes = 64U << 10U;

template <typename List>
std::string Line(const char* keyword, const List& words) {
  std::string line = keyword;
  for (const auto& word : words) {
    line += " " + word;
  }
  return line + "\n";
}

bool OnlyLoopbackServers(const std::string& text) {
  bool loopback = false;
  for (const auto& line : Split(text, '\n')) {
    const auto words = Words(line);
    if (words.size() < 2 || words[0] != "nameserver") {
      continue;
    }
    if (!words[1].starts_with("127.") && words[1] != "::1") {
      return false;
    }
    loopback = true;
  }
  return loopback;
}

}  // namespace

std::string ResolvConfText(const runtime::v1::DNSConfig& dns) {
  std::string text;
  if (dns.searches_size() > 0) {
    text += Line("search", dns.searches());
  }
  for (const auto& server : dns.servers()) {
    text += "nameserver " + server + "\n";
  }
  if (dns.options_size() > 0) {
    text += Line("options", dns.options());
  }
  return text;
}

std::string HostResolvConf(bool host_network, const std::string& etc, const std::string& resolved) {
  const std::string text = ReadFile(etc, kMaxBytes).value_or("");
  if (host_network || !OnlyLoopbackServers(text)) {
    return text;
  }
  return ReadFile(resolved, kMaxBytes).value_or(text);
}

std::string HostsText(const std::string& hostname, const std::vector<std::string>& ips) {
  std::string text =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n";
  for (const auto& ip : ips) {
    text += ip + "\t" + hostname + "\n";
  }
  return text;
}

}  // namespace davit::server
