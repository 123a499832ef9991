// SPDX-License-Identifier: Apache-2.0
#include "image/registries/toml.h"

#include <algorithm>

#include "base/text.h"

namespace davit::image {
namespace {

constexpr size_t kMaxText = size_t{1} << 20U;

}  // namespace

absl::StatusOr<toml::table> ParseToml(std::string_view text, const std::string& file) {
  if (text.size() > kMaxText) {
    return InvalidArgument("{}: longer than {} bytes", file, kMaxText);
  }
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return InvalidArgument("{}:{}: {}", file, error.source().begin.line,
                           Printable(error.description(), 300));
  }
}

absl::Status TomlError(const std::string& file, const toml::node& node, const std::string& what) {
  return InvalidArgument("{}:{}: {}", file, node.source().begin.line, what);
}

absl::StatusOr<std::string> TomlString(const std::string& file, const toml::table& table,
                                       std::string_view key) {
  const toml::node* const node = table.get(key);
  if (node == nullptr) {
    return std::string();
  }
  const auto value = node->value_exact<std::string>();
  if (!value) {
    return TomlError(file, *node, fmt::format("{} is not a string", key));
  }
  return *value;
}

absl::StatusOr<bool> TomlBool(const std::string& file, const toml::table& table,
                              std::string_view key, bool fallback) {
  const toml::node* const node = table.get(key);
  if (node == nullptr) {
    return fallback;
  }
  const auto value = node->value_exact<bool>();
  if (!value) {
    return TomlError(file, *node, fmt::format("{} is not true or false", key));
  }
  return *value;
}

absl::StatusOr<std::vector<std::string>> TomlStrings(const std::string& file,
                                                     const toml::table& table,
                                                     std::string_view key) {
  std::vector<std::string> strings;
  const toml::node* const node = table.get(key);
  if (node == nullptr) {
    return strings;
  }
  const toml::array* const array = node->as_array();
  if (array == nullptr) {
    return TomlError(file, *node, fmt::format("{} is not an array of strings", key));
  }
  for (const toml::node& element : *array) {
    const auto value = element.value_exact<std::string>();
    if (!value) {
      return TomlError(file, element, fmt::format("{} is not an array of strings", key));
    }
    strings.push_back(*value);
  }
  return strings;
}

std::vector<std::string> UnknownKeys(const std::string& file, const toml::table& table,
                                     const std::vector<std::string_view>& known) {
  std::vector<std::string> unknown;
  for (const auto& [key, node] : table) {
    if (std::find(known.begin(), known.end(), key.str()) == known.end()) {
      unknown.push_back(fmt::format("{}:{}: unknown key {}, ignored", file,
                                    node.source().begin.line, Printable(key.str(), 100)));
    }
  }
  return unknown;
}

}  // namespace davit::image
