// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <limits>

#include "base/status.h"

namespace davit {
namespace {

constexpr int kMaxDepth = 128;

// Counts brackets outside of strings; on malformed text any answer will do, the parser refuses it.
bool IsTooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) {
        return true;
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

const nlohmann::json* Find(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, const std::string& what,
                                         size_t max_bytes) {
  if (text.size() > max_bytes) {
    return InvalidArgument("parse {}: {} bytes, at most {} are accepted", what, text.size(),
                           max_bytes);
  }
  if (IsTooDeep(text)) {
    return InvalidArgument("parse {}: nested more than {} levels deep", what, kMaxDepth);
  }
  // The library's own messages quote the text, which may hold secrets: the place must do.
  try {
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    return InvalidArgument("parse {}: not valid JSON at byte {}", what, error.byte);
  } catch (const nlohmann::json::exception&) {
    return InvalidArgument("parse {}: a number is out of range", what);
  }
}

std::string JsonString(const nlohmann::json& object, const char* key, std::string fallback) {
  const nlohmann::json* const value = Find(object, key);
  return value != nullptr && value->is_string() ? value->get_ref<const std::string&>() : fallback;
}

int64_t JsonInt(const nlohmann::json& object, const char* key, int64_t fallback) {
  const nlohmann::json* const value = Find(object, key);
  if (value == nullptr || !value->is_number_integer()) {
    return fallback;
  }
  if (value->is_number_unsigned() &&
      value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return fallback;
  }
  return value->get<int64_t>();
}

bool JsonBool(const nlohmann::json& object, const char* key, bool fallback) {
  const nlohmann::json* const value = Find(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

const nlohmann::json& JsonChild(const nlohmann::json& object, const char* key) {
  static const nlohmann::json& empty = *new nlohmann::json(nlohmann::json::object());
  const nlohmann::json* const value = Find(object, key);
  return value != nullptr && value->is_structured() ? *value : empty;
}

std::string DumpJson(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace davit
