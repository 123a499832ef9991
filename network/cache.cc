// SPDX-License-Identifier: Apache-2.0
#include "network/cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <openssl/evp.h>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "network/cni_config.h"

namespace davit::network {
namespace {

using nlohmann::json;

constexpr char kKind[] = "cniCacheV1";
constexpr char kMarker[] = "davit";
constexpr size_t kMaxEntryBytes = 8U << 20U;

std::string Base64Encode(const std::string& text) {
  std::string result((text.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(result.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  result.resize(static_cast<size_t>(length));
  return result;
}

// "" if it is not base64.
std::string Base64Decode(const std::string& text) {
  std::string result(text.size() / 4 * 3 + 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(result.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) {
    return "";
  }
  // The padding is decoded to zero bytes.
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  result.resize(static_cast<size_t>(length) - padding);
  return result;
}

json ToJson(const Attachment& attachment, const std::string& owner) {
  json root = {{"kind", kKind},
               {"containerId", attachment.container_id},
               {"config", Base64Encode(attachment.config_json)},
               {"ifName", kInterfaceName},
               {"networkName", attachment.network},
               {"netns", attachment.netns},
               {kMarker, {{"owner", owner}}}};
  json& args = root["cniArgs"] = json::array();
  for (const auto& [key, value] : attachment.args) {
    args.push_back(json::array({key, value}));
  }
  json& capabilities = root["capabilityArgs"] = json::object();
  for (const auto& [name, text] : attachment.capability_args) {
    // Our own text: it parses.
    capabilities[name] = ParseJson(text, name).value_or(json());
  }
  if (!attachment.result_json.empty()) {
    root["result"] = ParseJson(attachment.result_json, "result").value_or(json());
  }
  return root;
}

CniArgs ArgsFromJson(const json& list) {
  CniArgs result;
  for (const json& pair : list) {
    if (pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string()) {
      result.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
    }
  }
  return result;
}

// Nothing unless it is an entry for that container and network.
std::optional<Attachment> FromJson(const json& root, const Attachment& names) {
  Attachment result = names;
  if (!root.is_object() || JsonString(root, "kind") != kKind ||
      JsonString(root, "containerId") != names.container_id ||
      JsonString(root, "networkName") != names.network) {
    return std::nullopt;
  }
  result.netns = JsonString(root, "netns");
  result.config_json = Base64Decode(JsonString(root, "config"));
  result.args = ArgsFromJson(JsonChild(root, "cniArgs"));
  for (const auto& [name, value] : JsonChild(root, "capabilityArgs").items()) {
    result.capability_args[name] = DumpJson(value);
  }
  if (const json& cni_result = JsonChild(root, "result");
      cni_result.is_object() && !cni_result.empty()) {
    result.result_json = DumpJson(cni_result);
  }
  return result;
}

std::string Suffix(std::string_view container_id) {
  return fmt::format("-{}-{}", container_id, kInterfaceName);
}

}  // namespace

Cache::Cache(const std::string& cache_dir, std::string owner)
    : dir_(JoinPath(cache_dir, "results")), owner_(std::move(owner)) {}

std::string Cache::PathOf(const Attachment& attachment) const {
  return JoinPath(dir_, attachment.network + Suffix(attachment.container_id));
}

absl::Status Cache::Write(const Attachment& attachment) const {
  if (!IsValidName(attachment.network) || !IsValidName(attachment.container_id)) {
    return InvalidArgument("network \"{}\" or sandbox \"{}\" cannot be part of a file name",
                           attachment.network, attachment.container_id);
  }
  const std::string path = PathOf(attachment);
  const std::string text = DumpJson(ToJson(attachment, owner_));
  absl::Status status = WriteFileAtomic(path, text);
  if (absl::IsNotFound(status)) {
    RETURN_IF_ERROR(MakeDirs(dir_, 0700));
    status = WriteFileAtomic(path, text);
  }
  return Annotate(status, fmt::format("keep network {} of sandbox {}", attachment.network,
                                      attachment.container_id));
}

absl::Status Cache::Sync(const Attachment& attachment) const {
  for (const std::string& path : {PathOf(attachment), dir_}) {
    ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY));
    if (fsync(fd.get()) != 0) {
      return ErrnoStatus(errno, "put on disk " + path);
    }
  }
  return absl::OkStatus();
}

absl::Status Cache::Remove(const Attachment& attachment) const {
  return RemoveFile(PathOf(attachment));
}

absl::StatusOr<std::vector<std::string>> Cache::Names() const {
  absl::StatusOr<std::vector<std::string>> names = ListDir(dir_);
  if (absl::IsNotFound(names.status())) {
    return std::vector<std::string>();
  }
  return names;
}

absl::StatusOr<std::vector<Attachment>> Cache::Find(std::string_view container_id) const {
  std::vector<Attachment> result;
  if (!IsValidName(container_id)) {
    return result;
  }
  const std::string suffix = Suffix(container_id);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, Names());
  for (const std::string& name : names) {
    if (!name.ends_with(suffix)) {
      continue;
    }
    Attachment attachment;
    attachment.container_id = container_id;
    attachment.network = name.substr(0, name.size() - suffix.size());
    if (!IsValidName(attachment.network)) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::string text, ReadFile(JoinPath(dir_, name), kMaxEntryBytes));
    if (const absl::StatusOr<json> root = ParseJson(text, name, kMaxEntryBytes); root.ok()) {
      attachment = FromJson(*root, attachment).value_or(attachment);
    }
    result.push_back(std::move(attachment));
  }
  return result;
}

absl::StatusOr<std::vector<std::string>> Cache::Containers() const {
  std::vector<std::string> result;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, Names());
  for (const std::string& name : names) {
    const absl::StatusOr<std::string> text = ReadFile(JoinPath(dir_, name), kMaxEntryBytes);
    if (!text.ok()) {
      continue;
    }
    const absl::StatusOr<json> root = ParseJson(*text, name, kMaxEntryBytes);
    if (!root.ok() || !root->is_object() || !root->contains(kMarker) ||
        JsonString(JsonChild(*root, kMarker), "owner") != owner_) {
      continue;
    }
    const std::string id = JsonString(*root, "containerId");
    if (IsValidName(id) && name.ends_with(Suffix(id))) {
      result.push_back(id);
    }
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

absl::StatusOr<std::vector<Cache::Name>> Cache::AttachmentsOf(const std::string& network) const {
  std::vector<Name> result;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, Names());
  const std::string prefix = network + "-";
  for (const std::string& name : names) {
    const size_t end = name.rfind('-');
    // One of the network "a-b" is taken for one of "a" too. An attachment too many on the list
    // keeps what it holds; it takes nothing from anybody.
    if (name.starts_with(prefix) && end > prefix.size() && end + 1 < name.size()) {
      result.push_back({name.substr(prefix.size(), end - prefix.size()), name.substr(end + 1)});
    }
  }
  return result;
}

}  // namespace davit::network
