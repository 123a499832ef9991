// SPDX-License-Identifier: Apache-2.0
#include "image/image_config.h"

#include "base/json.h"
#include "base/status.h"

namespace davit::image {
namespace {

constexpr size_t kMaxConfigBytes = size_t{8} << 20U;

// Absent and null are empty, as the encoders of Go write them.
const nlohmann::json* Present(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

absl::Status WrongType(const char* key, const char* wanted) {
  return InvalidArgument("image config: {} is not {}", key, wanted);
}

absl::StatusOr<nlohmann::json> Object(const nlohmann::json& parent, const char* key) {
  const nlohmann::json* value = Present(parent, key);
  if (value == nullptr) {
    return nlohmann::json::object();
  }
  if (!value->is_object()) {
    return WrongType(key, "an object");
  }
  return *value;
}

absl::Status Read(const nlohmann::json& parent, const char* key, std::string& out) {
  if (const nlohmann::json* value = Present(parent, key); value != nullptr) {
    if (!value->is_string()) {
      return WrongType(key, "a string");
    }
    out = value->get<std::string>();
  }
  return absl::OkStatus();
}

absl::Status Read(const nlohmann::json& parent, const char* key, std::vector<std::string>& out) {
  const nlohmann::json* value = Present(parent, key);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (!value->is_array()) {
    return WrongType(key, "an array of strings");
  }
  for (const nlohmann::json& item : *value) {
    if (!item.is_string()) {
      return WrongType(key, "an array of strings");
    }
    out.push_back(item.get<std::string>());
  }
  return absl::OkStatus();
}

absl::Status ReadProcess(const nlohmann::json& process, ImageConfig& out) {
  RETURN_IF_ERROR(Read(process, "User", out.user));
  RETURN_IF_ERROR(Read(process, "Env", out.env));
  RETURN_IF_ERROR(Read(process, "Entrypoint", out.entrypoint));
  RETURN_IF_ERROR(Read(process, "Cmd", out.cmd));
  RETURN_IF_ERROR(Read(process, "WorkingDir", out.working_dir));
  RETURN_IF_ERROR(Read(process, "StopSignal", out.stop_signal));
  ASSIGN_OR_RETURN(const nlohmann::json volumes, Object(process, "Volumes"));
  for (const auto& [path, value] : volumes.items()) {
    out.volumes.push_back(path);
  }
  ASSIGN_OR_RETURN(const nlohmann::json labels, Object(process, "Labels"));
  for (const auto& [name, value] : labels.items()) {
    RETURN_IF_ERROR(Read(labels, name.c_str(), out.labels[name]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageConfig> ParseImageConfig(const std::string& json) {
  ASSIGN_OR_RETURN(const nlohmann::json root, ParseJson(json, "image config", kMaxConfigBytes));
  if (!root.is_object()) {
    return InvalidArgument("image config: not a JSON object");
  }
  ImageConfig config;
  RETURN_IF_ERROR(Read(root, "os", config.os));
  RETURN_IF_ERROR(Read(root, "architecture", config.architecture));
  ASSIGN_OR_RETURN(const nlohmann::json process, Object(root, "config"));
  RETURN_IF_ERROR(ReadProcess(process, config));
  ASSIGN_OR_RETURN(const nlohmann::json rootfs, Object(root, "rootfs"));
  RETURN_IF_ERROR(Read(rootfs, "diff_ids", config.diff_ids));
  return config;
}

}  // namespace davit::image
