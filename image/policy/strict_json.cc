// SPDX-License-Identifier: Apache-2.0
#include "image/policy/strict_json.h"

#include <algorithm>
#include <functional>
#include <set>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

using nlohmann::json;

constexpr size_t kShownKey = 60;

// The first key that an object has twice; "" if none has.
class DuplicateKeys {
 public:
  bool operator()(int /*depth*/, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) {
      open_.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      open_.pop_back();
    } else if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_.back().insert(key).second && !found_) {
        found_ = true;
        key_ = key;
      }
    }
    return true;
  }
  [[nodiscard]] bool found() const { return found_; }
  [[nodiscard]] const std::string& key() const { return key_; }

 private:
  std::vector<std::set<std::string>> open_;
  bool found_ = false;
  std::string key_;
};

}  // namespace

absl::StatusOr<json> ParseStrictJson(std::string_view text, const std::string& what,
                                     size_t max_bytes) {
  ASSIGN_OR_RETURN(json parsed, ParseJson(text, what, max_bytes));
  DuplicateKeys duplicates;
  // It was parsed before, so it does not throw now.
  parsed = json::parse(text.begin(), text.end(), std::ref(duplicates));
  if (duplicates.found()) {
    return InvalidArgument("parse {}: key \"{}\" is there twice", what,
                           Printable(duplicates.key(), kShownKey));
  }
  return parsed;
}

absl::Status CheckObject(const json& value, std::initializer_list<const char*> known,
                         const std::string& where) {
  if (!value.is_object()) {
    return InvalidArgument("{} is not an object", where);
  }
  for (const auto& item : value.items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end()) {
      return InvalidArgument("{} has the unknown key \"{}\" (known: {})", where,
                             Printable(item.key(), kShownKey), fmt::join(known, ", "));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<const json*> ValueAt(const json& object, const char* key, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end()) {
    return InvalidArgument("{} lacks \"{}\"", where, key);
  }
  return &*it;
}

absl::StatusOr<std::string> StringAt(const json& object, const char* key,
                                     const std::string& where) {
  ASSIGN_OR_RETURN(const json* value, ValueAt(object, key, where));
  if (!value->is_string()) {
    return InvalidArgument("{}: \"{}\" is not a string", where, key);
  }
  return value->get<std::string>();
}

absl::StatusOr<std::string> OptionalStringAt(const json& object, const char* key,
                                             const std::string& where) {
  return object.contains(key) ? StringAt(object, key, where) : std::string();
}

}  // namespace davit::image
