// SPDX-License-Identifier: Apache-2.0
//
// oci-hooks(5), version 1.0.0: JSON files that say which hook runs at which stage of which
// containers. A file that cannot be read stops the container: what it was to do may be what the
// container must not run without.
#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include <re2/re2.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

constexpr size_t kMaxHookFile = 1U << 20U;
constexpr int64_t kMaxRegexMemory = 8 << 20;
constexpr char kVersion[] = "1.0.0";
constexpr std::array<std::string_view, 6> kStages = {
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};

absl::StatusOr<bool> Matches(const std::string& pattern, const std::string& text) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxRegexMemory);
  const RE2 regex(pattern, options);
  if (!regex.ok()) {
    return FailedPrecondition("\"{}\" is no regular expression: {}", Printable(pattern),
                              regex.error());
  }
  return RE2::PartialMatch(text, regex);
}

// All that the conditions look at.
class Subject {
 public:
  Subject(const SpecInput& input, const Json& config)
      : has_bind_mounts_(input.container.mounts_size() > 0) {
    annotations_.insert(input.sandbox.annotations().begin(), input.sandbox.annotations().end());
    for (const auto& [key, value] : input.container.annotations()) {
      annotations_[key] = value;
    }
    for (const Json& arg : JsonChild(JsonChild(config, "process"), "args")) {
      command_ = arg.get<std::string>();
      break;
    }
  }

  // Every condition that is there has to hold, and there has to be one.
  [[nodiscard]] absl::StatusOr<bool> Meets(const Json& when) const {
    size_t conditions = 0;
    for (const auto& [key, value] : when.items()) {
      ASSIGN_OR_RETURN(const bool holds, MeetsOne(key, value));
      if (!holds) {
        return false;
      }
      ++conditions;
    }
    return conditions > 0;
  }

 private:
  [[nodiscard]] absl::StatusOr<bool> MeetsOne(const std::string& key, const Json& value) const {
    if (key == "always" && value.is_boolean()) {
      return value.get<bool>();
    }
    if (key == "hasBindMounts" && value.is_boolean()) {
      return value.get<bool>() == has_bind_mounts_;
    }
    if (key == "annotations" && value.is_object()) {
      for (const auto& [name, pattern] : value.items()) {
        ASSIGN_OR_RETURN(const bool found, HasAnnotation(name, pattern));
        if (!found) {
          return false;
        }
      }
      return true;
    }
    if (key == "commands" && value.is_array()) {
      for (const Json& pattern : value) {
        ASSIGN_OR_RETURN(const bool matches,
                         Matches(pattern.is_string() ? pattern.get<std::string>() : "", command_));
        if (matches) {
          return true;
        }
      }
      return false;
    }
    return FailedPrecondition("when.{} is not a condition of version {}", Printable(key), kVersion);
  }

  [[nodiscard]] absl::StatusOr<bool> HasAnnotation(const std::string& name_pattern,
                                                   const Json& value_pattern) const {
    const std::string pattern = value_pattern.is_string() ? value_pattern.get<std::string>() : "";
    for (const auto& [name, value] : annotations_) {
      ASSIGN_OR_RETURN(const bool name_matches, Matches(name_pattern, name));
      if (!name_matches) {
        continue;
      }
      ASSIGN_OR_RETURN(const bool value_matches, Matches(pattern, value));
      if (value_matches) {
        return true;
      }
    }
    return false;
  }

  std::map<std::string, std::string> annotations_;
  std::string command_;
  bool has_bind_mounts_;
};

absl::StatusOr<Json> CheckHook(const Json& hook) {
  const std::string path = JsonString(hook, "path");
  if (path.empty() || path.front() != '/') {
    return FailedPrecondition("hook.path \"{}\" is not absolute", Printable(path));
  }
  if (!PathExists(path)) {
    return FailedPrecondition("hook.path {} does not exist", Printable(path));
  }
  Json out = {{"path", path}};
  for (const auto& [key, value] : hook.items()) {
    const bool fits = ((key == "args" || key == "env") && value.is_array()) ||
                      (key == "timeout" && value.is_number_integer()) || key == "path";
    if (!fits) {
      return FailedPrecondition("hook.{} is not what version {} has there", Printable(key),
                                kVersion);
    }
    out[key] = value;
  }
  return out;
}

absl::Status AddFile(const std::string& path, const Subject& subject, Json& config) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxHookFile));
  ASSIGN_OR_RETURN(const Json root, ParseJson(text, "JSON"));
  if (JsonString(root, "version") != kVersion) {
    return FailedPrecondition("version \"{}\" is not {}", Printable(JsonString(root, "version")),
                              kVersion);
  }
  ASSIGN_OR_RETURN(const bool wanted, subject.Meets(JsonChild(root, "when")));
  if (!wanted) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Json hook, CheckHook(JsonChild(root, "hook")));
  const Json& stages = JsonChild(root, "stages");
  if (stages.empty()) {
    return FailedPrecondition("stages is missing");
  }
  for (const Json& stage : stages) {
    const std::string name = stage.is_string() ? stage.get<std::string>() : "";
    if (std::find(kStages.begin(), kStages.end(), name) == kStages.end()) {
      return FailedPrecondition("stage \"{}\" is none of the OCI's", Printable(name));
    }
    config["hooks"][name].push_back(hook);
  }
  return absl::OkStatus();
}

// File name -> path. In lexical order they run; of one name the later directory counts.
absl::StatusOr<std::map<std::string, std::string>> HookFiles(
    const std::vector<std::string>& directories) {
  std::map<std::string, std::string> files;
  for (const std::string& directory : directories) {
    const auto names = ListDir(directory);
    if (absl::IsNotFound(names.status())) {
      continue;
    }
    RETURN_IF_ERROR(names.status());
    for (const std::string& name : *names) {
      if (name.ends_with(".json")) {
        files[name] = JoinPath(directory, name);
      }
    }
  }
  return files;
}

}  // namespace

absl::Status AddHooks(const SpecInput& input, Json& config) {
  ASSIGN_OR_RETURN(const auto files, HookFiles(input.host.hooks_dirs));
  if (files.empty()) {
    return absl::OkStatus();
  }
  const Subject subject(input, config);
  for (const auto& [name, path] : files) {
    if (const absl::Status added = AddFile(path, subject, config); !added.ok()) {
      return WithCode(absl::StatusCode::kFailedPrecondition, Annotate(added, "OCI hook " + path));
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::server::spec
