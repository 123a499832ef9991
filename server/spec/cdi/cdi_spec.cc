// SPDX-License-Identifier: Apache-2.0
#include "server/spec/cdi/cdi_spec.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <exception>

#include <yaml-cpp/yaml.h>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::spec {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxBytes = 4U << 20U;
constexpr int kMaxDepth = 16;
constexpr int kMaxNodes = 200'000;  // aliases may multiply what a small file says
constexpr std::array<std::string_view, 8> kVersions = {"0.3.0", "0.4.0", "0.5.0", "0.6.0",
                                                       "0.7.0", "0.8.0", "1.0.0", "1.1.0"};

// A plain scalar is what YAML's core schema says; a quoted one is a text.
Json Scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") {
    return text;
  }
  if (text == "true" || text == "false") {
    return text == "true";
  }
  if (text.size() > 1 && text.front() == '0' &&
      text.find_first_not_of("01234567") == std::string::npos) {
    return std::stoull(text.substr(0, 20), nullptr, 8);  // a file mode, as YAML 1.1 writes it
  }
  if (text.starts_with("0o") && text.size() > 2 &&
      text.find_first_not_of("01234567", 2) == std::string::npos) {
    return std::stoull(text.substr(2, 20), nullptr, 8);
  }
  if (const auto number = ParseInt(text)) {
    return *number;
  }
  return text;
}

class Converter {
 public:
  absl::StatusOr<Json> Convert(const YAML::Node& node, int depth = 0) {
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes) {
      return InvalidArgument("is nested too deep or too large");
    }
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        return Scalar(node);
      case YAML::NodeType::Sequence: {
        Json list = Json::array();
        for (const auto& item : node) {
          ASSIGN_OR_RETURN(Json value, Convert(item, depth + 1));
          list.push_back(std::move(value));
        }
        return list;
      }
      case YAML::NodeType::Map: {
        Json object = Json::object();
        for (const auto& entry : node) {
          if (!entry.first.IsScalar()) {
            return InvalidArgument("line {}: a key is no text", entry.first.Mark().line + 1);
          }
          ASSIGN_OR_RETURN(object[entry.first.Scalar()], Convert(entry.second, depth + 1));
        }
        return object;
      }
      default:
        return Json();
    }
  }

 private:
  int nodes_ = 0;
};

absl::StatusOr<Json> ParseYaml(std::string_view text) {
  try {
    return Converter().Convert(YAML::Load(std::string(text)));
  } catch (const std::exception& error) {
    return InvalidArgument("{}", error.what());
  }
}

bool IsLabel(std::string_view text, std::string_view more) {
  const auto alphanumeric = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !text.empty() && alphanumeric(text.front()) && alphanumeric(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return alphanumeric(c) || more.find(c) != std::string_view::npos;
         });
}

bool IsKind(const std::string& kind) {
  const size_t slash = kind.find('/');
  return slash != std::string::npos && IsLabel(std::string_view(kind).substr(0, slash), "_-.") &&
         IsLabel(std::string_view(kind).substr(slash + 1), "_-");
}

bool IsDeviceName(const std::string& name) {
  return IsLabel(name, "_-.:");
}

absl::StatusOr<CdiSpec> FromJson(const Json& root) {
  if (!root.is_object()) {
    return InvalidArgument("is no mapping");
  }
  const std::string version = JsonString(root, "cdiVersion");
  if (std::find(kVersions.begin(), kVersions.end(), version) == kVersions.end()) {
    return InvalidArgument("cdiVersion \"{}\" is none of {} to {}", Printable(version),
                           kVersions.front(), kVersions.back());
  }
  CdiSpec spec;
  spec.kind = JsonString(root, "kind");
  if (!IsKind(spec.kind)) {
    return InvalidArgument("kind \"{}\" is not VENDOR/CLASS", Printable(spec.kind));
  }
  spec.edits = JsonChild(root, "containerEdits");
  for (const Json& device : JsonChild(root, "devices")) {
    const std::string name = JsonString(device, "name");
    if (!IsDeviceName(name)) {
      return InvalidArgument("\"{}\" is no device name", Printable(name));
    }
    if (!spec.devices.emplace(name, JsonChild(device, "containerEdits")).second) {
      return InvalidArgument("device {} stands twice in it", name);
    }
  }
  return spec;
}

}  // namespace

absl::StatusOr<CdiSpec> ParseCdiSpec(std::string_view text, const std::string& path) {
  const std::string what = "CDI specification " + path;
  if (text.size() > kMaxBytes) {
    return InvalidArgument("{}: is larger than {} bytes", what, kMaxBytes);
  }
  const absl::StatusOr<Json> root = ParseYaml(text);
  if (!root.ok()) {
    return Annotate(root.status(), what);
  }
  absl::StatusOr<CdiSpec> spec = FromJson(*root);
  if (!spec.ok()) {
    return Annotate(spec.status(), what);
  }
  return spec;
}

absl::StatusOr<CdiName> ParseCdiName(const std::string& text) {
  const size_t equals = text.find('=');
  CdiName name{.kind = text.substr(0, equals),
               .device = equals == std::string::npos ? "" : text.substr(equals + 1)};
  if (!IsKind(name.kind) || !IsDeviceName(name.device)) {
    return InvalidArgument("\"{}\" is not the name of a CDI device (VENDOR/CLASS=NAME)",
                           Printable(text));
  }
  return name;
}

}  // namespace davit::server::spec
