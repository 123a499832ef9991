// SPDX-License-Identifier: Apache-2.0
#include "image/registries/hosts_toml.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "image/reference.h"
#include "image/registries/certs.h"
#include "image/registries/toml.h"
#include "image/token.h"

namespace davit::image {
namespace {

constexpr size_t kMaxFile = size_t{1} << 20U;
constexpr std::string_view kVersion = "/v2";

class HostsParser {
 public:
  HostsParser(std::string file, std::string directory)
      : file_(std::move(file)), directory_(std::move(directory)) {}

  absl::StatusOr<HostsToml> Parse(std::string_view text) {
    ASSIGN_OR_RETURN(const toml::table root, ParseToml(text, file_));
    ASSIGN_OR_RETURN(const std::string server, TomlString(file_, root, "server"));
    if (!server.empty()) {
      ASSIGN_OR_RETURN(hosts_.server, Entry(root, *root.get("server"), server, true));
    }
    if (const toml::node* const node = root.get("host")) {
      const toml::table* const table = node->as_table();
      if (table == nullptr) {
        return TomlError(file_, *node, "host is not a table: write [host.\"https://…\"]");
      }
      RETURN_IF_ERROR(ReadHosts(*table));
    }
    return std::move(hosts_);
  }

 private:
  // A table does not keep the order of its keys, the positions of their values do.
  absl::Status ReadHosts(const toml::table& table) {
    std::vector<std::pair<std::string, const toml::node*>> entries;
    for (const auto& [key, node] : table) {
      entries.emplace_back(key.str(), &node);
    }
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return a.second->source().begin < b.second->source().begin;
    });
    for (const auto& [url, node] : entries) {
      const toml::table* const entry = node->as_table();
      if (entry == nullptr) {
        return TomlError(file_, *node, fmt::format("host '{}' is not a table", Printable(url)));
      }
      ASSIGN_OR_RETURN(HostsEntry mirror, Entry(*entry, *node, url, false));
      hosts_.mirrors.push_back(std::move(mirror));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<HostsEntry> Entry(const toml::table& table, const toml::node& place,
                                   const std::string& url, bool is_root) {
    std::vector<std::string_view> known = {
        "capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout"};
    if (is_root) {
      known.insert(known.end(), {"server", "host"});
    }
    for (std::string& warning : UnknownKeys(file_, table, known)) {
      hosts_.warnings.push_back(std::move(warning));
    }
    ASSIGN_OR_RETURN(HostsEntry entry, FromUrl(place, url));
    ASSIGN_OR_RETURN(entry.override_path, TomlBool(file_, table, "override_path"));
    if (!entry.override_path && entry.path.ends_with(kVersion)) {
      entry.path.resize(entry.path.size() - kVersion.size());
    }
    RETURN_IF_ERROR(ReadCapabilities(table, entry));
    RETURN_IF_ERROR(ReadHeaders(table, entry));
    RETURN_IF_ERROR(ReadTls(table, entry));
    return entry;
  }

  absl::StatusOr<HostsEntry> FromUrl(const toml::node& place, const std::string& url) const {
    HostsEntry entry;
    std::string_view rest = url;
    entry.scheme = "https";
    if (const size_t scheme = rest.find("://"); scheme != std::string_view::npos) {
      entry.scheme = rest.substr(0, scheme);
      rest.remove_prefix(scheme + 3);
    }
    while (rest.ends_with('/')) {
      rest.remove_suffix(1);
    }
    const size_t slash = std::min(rest.find('/'), rest.size());
    entry.host = rest.substr(0, slash);
    entry.path = rest.substr(slash);
    const bool plain_path =
        entry.path.find_first_of("?#\\%") == std::string::npos && IsHeaderSafe(entry.path);
    if ((entry.scheme != "http" && entry.scheme != "https") || !IsDomain(entry.host) ||
        !plain_path) {
      return TomlError(
          file_, place,
          fmt::format("'{}' is not [http[s]://]host[:port][/path]", Printable(url, 200)));
    }
    return entry;
  }

  absl::Status ReadCapabilities(const toml::table& table, HostsEntry& entry) const {
    const toml::node* const node = table.get("capabilities");
    if (node == nullptr) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     TomlStrings(file_, table, "capabilities"));
    const std::vector<std::string> all = {"pull", "resolve", "push", "referrers"};
    for (const std::string& name : names) {
      if (std::find(all.begin(), all.end(), name) == all.end()) {
        return TomlError(file_, *node, fmt::format("unknown capability '{}'", Printable(name, 50)));
      }
    }
    const auto has = [&names](const char* name) {
      return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    };
    entry.can_pull = has("pull");
    entry.can_resolve = has("resolve");
    return absl::OkStatus();
  }

  absl::Status ReadHeaders(const toml::table& table, HostsEntry& entry) const {
    const toml::node* const node = table.get("header");
    if (node == nullptr) {
      return absl::OkStatus();
    }
    const toml::table* const headers = node->as_table();
    if (headers == nullptr) {
      return TomlError(file_, *node, "header is not a table");
    }
    for (const auto& [key, value] : *headers) {
      const std::string name(key.str());
      ASSIGN_OR_RETURN(const std::vector<std::string> values, OneOrMore(*headers, name));
      for (const std::string& text : values) {
        const bool one_line = text.find_first_of("\r\n") == std::string::npos;
        if (name.empty() || !IsHeaderSafe(name) || name.find(':') != std::string::npos ||
            !one_line) {
          return TomlError(file_, value, fmt::format("header '{}' is not one", Printable(name)));
        }
        entry.headers.push_back(name + ": " + text);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> OneOrMore(const toml::table& table,
                                                     std::string_view key) const {
    const toml::node* const node = table.get(key);
    if (node != nullptr && node->is_string()) {
      ASSIGN_OR_RETURN(std::string one, TomlString(file_, table, key));
      return std::vector<std::string>{std::move(one)};
    }
    return TomlStrings(file_, table, key);
  }

  [[nodiscard]] std::string Path(const std::string& name) const {
    return name.starts_with('/') ? name : JoinPath(directory_, name);
  }

  absl::Status ReadTls(const toml::table& table, HostsEntry& entry) const {
    ASSIGN_OR_RETURN(entry.skip_verify, TomlBool(file_, table, "skip_verify"));
    ASSIGN_OR_RETURN(const std::vector<std::string> authorities, OneOrMore(table, "ca"));
    for (const std::string& name : authorities) {
      entry.ca_files.push_back(Path(name));
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> pair, ClientPair(table));
    if (!pair.empty()) {
      entry.cert_file = Path(pair.front());
      entry.key_file = Path(pair.back());
    }
    return absl::OkStatus();
  }

  // client = "both.pem", ["both.pem", …] or [["cert.pem", "key.pem"], …]: the first counts.
  absl::StatusOr<std::vector<std::string>> ClientPair(const toml::table& table) const {
    const toml::node* const node = table.get("client");
    const toml::array* const outer = node == nullptr ? nullptr : node->as_array();
    if (outer == nullptr || outer->empty() || outer->get(0)->is_string()) {
      ASSIGN_OR_RETURN(std::vector<std::string> files, OneOrMore(table, "client"));
      files.resize(std::min<size_t>(files.size(), 1));
      return files;
    }
    std::vector<std::string> pair;
    if (const toml::array* const inner = outer->get(0)->as_array()) {
      for (const toml::node& element : *inner) {
        pair.push_back(element.value_exact<std::string>().value_or(""));
      }
    }
    if (pair.empty() || pair.size() > 2 || pair.front().empty() || pair.back().empty()) {
      return TomlError(file_, *node, "client is not a list of [certificate, key]");
    }
    return pair;
  }

  const std::string file_;
  const std::string directory_;
  HostsToml hosts_;
};

// "example.com:5000" as a directory that may not have a colon in its name.
std::string WithoutColon(const std::string& host) {
  const size_t colon = host.rfind(':');
  return colon == std::string::npos || host.ends_with(']')
             ? host
             : host.substr(0, colon) + "_" + host.substr(colon + 1) + "_";
}

absl::StatusOr<std::string> Pem(const std::string& file) {
  auto text = ReadFile(file, kMaxFile);
  if (!text.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition, text.status());
  }
  return *std::move(text) + "\n";
}

absl::Status LoadTls(HostsEntry& entry) {
  Tls tls;
  tls.skip_verify = entry.skip_verify;
  for (const std::string& file : entry.ca_files) {
    ASSIGN_OR_RETURN(const std::string pem, Pem(file));
    tls.ca += pem;
  }
  if (!entry.cert_file.empty()) {
    ASSIGN_OR_RETURN(tls.cert, Pem(entry.cert_file));
    ASSIGN_OR_RETURN(tls.key, Pem(entry.key_file));
  }
  if (tls != Tls()) {
    entry.tls = std::make_shared<const Tls>(std::move(tls));
  }
  return absl::OkStatus();
}

absl::Status LoadAllTls(HostsToml& hosts) {
  for (HostsEntry& mirror : hosts.mirrors) {
    RETURN_IF_ERROR(LoadTls(mirror));
  }
  return hosts.server ? LoadTls(*hosts.server) : absl::OkStatus();
}

absl::StatusOr<std::optional<HostsToml>> ReadHosts(const std::string& directory,
                                                   const std::string& host) {
  const std::string file = JoinPath(directory, "hosts.toml");
  auto text = ReadFile(file, kMaxFile);
  if (text.ok()) {
    auto hosts = ParseHostsToml(*text, file, directory);
    if (!hosts.ok()) {
      return WithCode(absl::StatusCode::kFailedPrecondition, hosts.status());
    }
    RETURN_IF_ERROR(Annotate(LoadAllTls(*hosts), file));
    return *std::move(hosts);
  }
  if (!absl::IsNotFound(text.status())) {
    return WithCode(absl::StatusCode::kFailedPrecondition, text.status());
  }
  auto certs = ReadCerts(directory);
  if (absl::IsNotFound(certs.status()) || (certs.ok() && *certs == nullptr)) {
    return std::nullopt;
  }
  RETURN_IF_ERROR(certs.status());
  HostsToml hosts;
  hosts.server.emplace();
  hosts.server->scheme = "https";
  hosts.server->host = host;
  hosts.server->tls = *std::move(certs);
  return hosts;
}

}  // namespace

absl::StatusOr<HostsToml> ParseHostsToml(std::string_view text, const std::string& file,
                                         const std::string& directory) {
  return HostsParser(file, directory).Parse(text);
}

absl::StatusOr<std::optional<HostsToml>> FindHostsToml(const std::vector<std::string>& directories,
                                                       const std::string& host) {
  if (!IsDomain(host)) {  // it becomes part of a path
    return std::nullopt;
  }
  std::vector<std::string> names = {host};
  if (WithoutColon(host) != host) {
    names.push_back(WithoutColon(host));
  }
  names.emplace_back("_default");
  for (const std::string& directory : directories) {
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(auto hosts, ReadHosts(JoinPath(directory, name), host));
      if (hosts) {
        return hosts;
      }
    }
  }
  return std::nullopt;
}

}  // namespace davit::image
