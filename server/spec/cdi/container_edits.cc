// SPDX-License-Identifier: Apache-2.0
#include "server/spec/cdi/container_edits.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/container_path.h"

namespace davit::server::spec {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 6> kKnownEdits = {"env",   "deviceNodes",    "mounts",
                                                         "hooks", "additionalGids", "intelRdt"};
constexpr std::array<std::string_view, 6> kHookNames = {
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};

class Editor {
 public:
  Editor(const std::string& what, Json& config) : what_(what), config_(config) {}

  absl::Status Env(const Json& list) const {
    Json& env = config_["process"]["env"];
    for (const Json& entry : list) {
      const std::string text = entry.is_string() ? entry.get<std::string>() : "";
      const size_t equals = text.find('=');
      if (equals == std::string::npos || equals == 0 || text.find('\0') != std::string::npos) {
        return Wrong("env \"{}\" is not NAME=value", Printable(text));
      }
      const std::string name = text.substr(0, equals + 1);
      const auto same = std::find_if(env.begin(), env.end(), [&name](const Json& each) {
        return each.is_string() && each.get_ref<const std::string&>().starts_with(name);
      });
      if (same != env.end()) {
        *same = text;
      } else {
        env.push_back(text);
      }
    }
    return absl::OkStatus();
  }

  absl::Status DeviceNode(const Json& node) const {
    const std::string path = JsonString(node, "path");
    const std::string host_path = JsonString(node, "hostPath", path);
    ASSIGN_OR_RETURN(const std::string clean,
                     CleanContainerPath(path, what_ + ": deviceNodes.path"));
    std::string type = JsonString(node, "type");
    int64_t major_number = JsonInt(node, "major");
    int64_t minor_number = JsonInt(node, "minor");
    if (type.empty() || (major_number == 0 && type != "p")) {
      struct stat st {};
      if (stat(host_path.c_str(), &st) != 0) {
        return Wrong("device {}: {}", Printable(host_path), ErrnoText(errno));
      }
      const std::string found = S_ISBLK(st.st_mode)    ? "b"
                                : S_ISCHR(st.st_mode)  ? "c"
                                : S_ISFIFO(st.st_mode) ? "p"
                                                       : "";
      if (found.empty() || (!type.empty() && type != "u" && type != found)) {
        return Wrong("device {} is not what its type \"{}\" says", Printable(host_path), type);
      }
      type = found;
      major_number = major(st.st_rdev);
      minor_number = minor(st.st_rdev);
    }
    return AddDevice(node, clean, {type, major_number, minor_number});
  }

  absl::Status Mount(const Json& mount) const {
    ASSIGN_OR_RETURN(
        const std::string destination,
        CleanContainerPath(JsonString(mount, "containerPath"), what_ + ": mounts.containerPath"));
    const std::string source = JsonString(mount, "hostPath");
    if (source.empty()) {
      return Wrong("a mount at {} has no hostPath", destination);
    }
    Json options = JsonChild(mount, "options");
    const std::string type = JsonString(mount, "type", "bind");
    const bool binds = std::any_of(options.begin(), options.end(), [](const Json& option) {
      return option == "bind" || option == "rbind";
    });
    if (!options.is_array() || options.empty()) {
      options = Json::array({"ro", "nosuid", "nodev", "rbind", "rprivate"});
    } else if (type == "bind" && !binds) {
      options.push_back("rbind");
    }
    Json& mounts = config_["mounts"];
    mounts.erase(std::remove_if(mounts.begin(), mounts.end(),
                                [&](const Json& each) {
                                  return JsonString(each, "destination") == destination;
                                }),
                 mounts.end());
    mounts.push_back({{"destination", destination},
                      {"type", type},
                      {"source", source},
                      {"options", std::move(options)}});
    return absl::OkStatus();
  }

  absl::Status Hook(const Json& hook) const {
    const std::string name = JsonString(hook, "hookName");
    const std::string path = JsonString(hook, "path");
    if (std::find(kHookNames.begin(), kHookNames.end(), name) == kHookNames.end() || path.empty() ||
        path.front() != '/') {
      return Wrong("hook \"{}\" with path \"{}\" is not one of the OCI's", Printable(name),
                   Printable(path));
    }
    Json out = {{"path", path}};
    for (const char* key : {"args", "env", "timeout"}) {
      if (hook.contains(key)) {
        out[key] = hook[key];
      }
    }
    config_["hooks"][name].push_back(std::move(out));
    return absl::OkStatus();
  }

  void Groups(const Json& gids) const {
    Json& groups = config_["process"]["user"]["additionalGids"];
    for (const Json& gid : gids) {
      // 0 is what a field that nobody set says.
      if (gid.is_number_integer() && gid.get<int64_t>() > 0 &&
          std::find(groups.begin(), groups.end(), gid) == groups.end()) {
        groups.push_back(gid);
      }
    }
  }

  void Rdt(const Json& rdt) const {
    if (!rdt.empty()) {
      config_["linux"]["intelRdt"] = rdt;
    }
  }

  template <typename... Args>
  [[nodiscard]] absl::Status Wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return FailedPrecondition("{}: {}", what_, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  struct Numbers {
    std::string type;
    int64_t major_number;
    int64_t minor_number;
  };

  absl::Status AddDevice(const Json& node, const std::string& path, const Numbers& numbers) const {
    Json device = {{"path", path}, {"type", numbers.type}};
    if (numbers.type != "p") {
      device["major"] = numbers.major_number;
      device["minor"] = numbers.minor_number;
    }
    if (node.contains("fileMode") && node["fileMode"].is_number_integer()) {
      device["fileMode"] = node["fileMode"];
    }
    // A node without an owner belongs to who runs in the container.
    const Json& user = JsonChild(JsonChild(config_, "process"), "user");
    for (const char* key : {"uid", "gid"}) {
      const int64_t own = JsonInt(node, key, JsonInt(user, key));
      if (node.contains(key) || own > 0) {
        device[key] = own;
      }
    }
    Json& devices = config_["linux"]["devices"];
    devices.erase(
        std::remove_if(devices.begin(), devices.end(),
                       [&](const Json& each) { return JsonString(each, "path") == path; }),
        devices.end());
    devices.push_back(std::move(device));
    if (numbers.type == "p") {
      return absl::OkStatus();
    }
    const std::string access = JsonString(node, "permissions", "rwm");
    if (access.find_first_not_of("rwm") != std::string::npos) {
      return Wrong("permissions \"{}\" of {} are not made of r, w and m", Printable(access), path);
    }
    config_["linux"]["resources"]["devices"].push_back({{"allow", true},
                                                        {"type", numbers.type},
                                                        {"major", numbers.major_number},
                                                        {"minor", numbers.minor_number},
                                                        {"access", access}});
    return absl::OkStatus();
  }

  const std::string& what_;
  Json& config_;
};

}  // namespace

absl::Status ApplyContainerEdits(const Json& edits, const std::string& what, Json& config) {
  const Editor editor(what, config);
  for (const auto& [key, value] : edits.items()) {
    if (std::find(kKnownEdits.begin(), kKnownEdits.end(), key) == kKnownEdits.end()) {
      return editor.Wrong("containerEdits.{} is not supported", Printable(key));
    }
  }
  RETURN_IF_ERROR(editor.Env(JsonChild(edits, "env")));
  for (const Json& node : JsonChild(edits, "deviceNodes")) {
    RETURN_IF_ERROR(editor.DeviceNode(node));
  }
  for (const Json& mount : JsonChild(edits, "mounts")) {
    RETURN_IF_ERROR(editor.Mount(mount));
  }
  for (const Json& hook : JsonChild(edits, "hooks")) {
    RETURN_IF_ERROR(editor.Hook(hook));
  }
  editor.Groups(JsonChild(edits, "additionalGids"));
  editor.Rdt(JsonChild(edits, "intelRdt"));
  return absl::OkStatus();
}

}  // namespace davit::server::spec
