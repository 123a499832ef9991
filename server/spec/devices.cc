// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/annotations.h"
#include "server/spec/container_path.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

constexpr int kMaxDepth = 8;

bool IsDevice(const struct stat& st) {
  return S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
}
std::string DeviceType(const struct stat& st) {
  return S_ISBLK(st.st_mode) ? "b" : "c";
}

Json Node(const std::string& path, const struct stat& st) {
  return {{"path", path},
          {"type", DeviceType(st)},
          {"major", major(st.st_rdev)},
          {"minor", minor(st.st_rdev)},
          {"fileMode", st.st_mode & 07777U},
          {"uid", st.st_uid},
          {"gid", st.st_gid}};
}

Json Rule(const struct stat& st, const std::string& access) {
  return {{"allow", true},
          {"type", DeviceType(st)},
          {"major", major(st.st_rdev)},
          {"minor", minor(st.st_rdev)},
          {"access", access}};
}

using NodesByPath = std::map<std::string, Json>;

// A device node, or every node beneath a directory. Other files in the directory are passed over.
absl::Status AddDirectory(const std::string& host, const std::string& container,
                          const std::string& access, int depth, NodesByPath& nodes, Json& rules) {
  if (depth > kMaxDepth) {
    return InvalidArgument("{}: directories nest too deep", host);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(host));
  for (const std::string& name : names) {
    const std::string path = JoinPath(host, name);
    struct stat st = {};
    if (lstat(path.c_str(), &st) != 0) {
      continue;  // gone meanwhile
    }
    if (S_ISDIR(st.st_mode)) {
      RETURN_IF_ERROR(
          AddDirectory(path, JoinPath(container, name), access, depth + 1, nodes, rules));
    } else if (IsDevice(st)) {
      nodes[JoinPath(container, name)] = Node(JoinPath(container, name), st);
      rules.push_back(Rule(st, access));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CheckAccess(const std::string& permissions, const std::string& where) {
  if (permissions.empty()) {
    return std::string("rwm");
  }
  if (permissions.find_first_not_of("rwm") != std::string::npos || permissions.size() > 3) {
    return InvalidArgument("{}permissions \"{}\": must be made of r, w and m", where,
                           Printable(permissions));
  }
  return permissions;
}

absl::Status AddRequested(const runtime::v1::Device& device, const std::string& where,
                          NodesByPath& nodes, Json& rules) {
  ASSIGN_OR_RETURN(const std::string access, CheckAccess(device.permissions(), where));
  const std::string& host = device.host_path();
  if (host.empty() || host.front() != '/' || host.find('\0') != std::string::npos) {
    return InvalidArgument("{}host_path \"{}\": must be an absolute path", where, Printable(host));
  }
  ASSIGN_OR_RETURN(
      const std::string container,
      CleanContainerPath(device.container_path().empty() ? host : device.container_path(),
                         where + "container_path"));
  struct stat st = {};
  if (stat(host.c_str(), &st) != 0) {
    return InvalidArgument("{}host_path {}: {}", where, Printable(host), ErrnoText(errno));
  }
  if (S_ISDIR(st.st_mode)) {
    return Annotate(AddDirectory(host, container, access, 0, nodes, rules), where + "host_path");
  }
  if (!IsDevice(st)) {
    return InvalidArgument("{}host_path {}: is not a device", where, Printable(host));
  }
  nodes[container] = Node(container, st);
  rules.push_back(Rule(st, access));
  return absl::OkStatus();
}

// What the container gets from its own mounts, or would share with whoever holds the host's
// terminals.
bool StaysOut(const std::string& name) {
  static const std::set<std::string> kNames = {"pts",  "shm",  "mqueue",      "fd",   "console",
                                               "ptmx", ".lxc", ".lxd-mounts", ".udev"};
  return kNames.count(name) != 0;
}

absl::Status AddHostDevices(const std::string& dev_root, NodesByPath& nodes) {
  Json unused_rules = Json::array();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dev_root));
  for (const std::string& name : names) {
    const std::string path = JoinPath(dev_root, name);
    struct stat st = {};
    if (StaysOut(name) || lstat(path.c_str(), &st) != 0) {
      continue;
    }
    if (S_ISDIR(st.st_mode)) {
      RETURN_IF_ERROR(AddDirectory(path, "/dev/" + name, "rwm", 0, nodes, unused_rules));
    } else if (IsDevice(st)) {
      nodes["/dev/" + name] = Node("/dev/" + name, st);
    }
  }
  return absl::OkStatus();
}

// A node beneath a request's mount would be made in the mounted volume.
void DropCovered(const SpecInput& input, NodesByPath& nodes) {
  for (const runtime::v1::Mount& mount : input.container.mounts()) {
    const absl::StatusOr<std::string> destination =
        CleanContainerPath(mount.container_path(), "container_path");
    for (auto node = nodes.begin(); destination.ok() && node != nodes.end();) {
      node = IsAtOrBeneath(node->first, *destination) ? nodes.erase(node) : std::next(node);
    }
  }
}

// "HOST[:CONTAINER][:rwm]", as container engines take it on their command line.
runtime::v1::Device ParseDevice(const std::string& text) {
  const std::vector<std::string> parts = Split(text, ':');
  runtime::v1::Device device;
  device.set_host_path(parts[0]);
  device.set_container_path(parts[0]);
  if (parts.size() == 2 && !parts[1].empty() && parts[1].front() != '/') {
    device.set_permissions(parts[1]);
  } else if (parts.size() > 1) {
    device.set_container_path(parts[1]);
    device.set_permissions(parts.size() > 2 ? Join({parts.begin() + 2, parts.end()}, ":") : "");
  }
  return device;
}

// What the annotation asks for, of those that the node lets anybody have.
absl::Status AddAnnotated(const SpecInput& input, NodesByPath& nodes, Json& rules) {
  if (!IsAllowed(input.allowed_annotations, kDevicesAnnotation)) {
    return absl::OkStatus();
  }
  const auto& annotations = input.container.annotations().count(kDevicesAnnotation) != 0
                                ? input.container.annotations()
                                : input.sandbox.annotations();
  const auto found = annotations.find(kDevicesAnnotation);
  if (found == annotations.end()) {
    return absl::OkStatus();
  }
  const auto& allowed = input.host.allowed_devices;
  for (const std::string& text : Split(found->second, ',')) {
    const runtime::v1::Device device = ParseDevice(std::string(Trim(text)));
    if (std::find(allowed.begin(), allowed.end(), device.host_path()) == allowed.end()) {
      return PermissionDenied("annotation {}: {} is not among runtime.allowed_devices",
                              kDevicesAnnotation, Printable(device.host_path()));
    }
    RETURN_IF_ERROR(
        AddRequested(device, fmt::format("annotation {}: ", kDevicesAnnotation), nodes, rules));
  }
  return absl::OkStatus();
}

absl::Status AddNodes(const SpecInput& input, NodesByPath& nodes, Json& rules) {
  for (const std::string& text : input.host.additional_devices) {
    RETURN_IF_ERROR(
        WithCode(absl::StatusCode::kFailedPrecondition,
                 AddRequested(ParseDevice(text), "runtime.additional_devices: ", nodes, rules)));
  }
  return absl::OkStatus();
}

// A device plugin's node belongs to root; who runs as another user could not open it.
void GiveToUser(const SpecInput& input, Json& node) {
  const auto& context = SecurityContext(input);
  if (context.has_run_as_user()) {
    node["uid"] = context.run_as_user().value();
  }
  if (context.has_run_as_group()) {
    node["gid"] = context.run_as_group().value();
  }
}

}  // namespace

absl::StatusOr<Devices> BuildDevices(const SpecInput& input, const std::string& dev_root) {
  const bool privileged = IsPrivileged(input);
  Devices result;
  NodesByPath nodes;
  // The runtime adds rules for the devices that every container has.
  result.rules.push_back({{"allow", privileged}, {"access", "rwm"}});
  if (privileged && !input.privileged_without_host_devices) {
    RETURN_IF_ERROR(AddHostDevices(dev_root, nodes));
  }
  RETURN_IF_ERROR(AddNodes(input, nodes, result.rules));
  RETURN_IF_ERROR(AddAnnotated(input, nodes, result.rules));
  NodesByPath requested;
  for (int i = 0; i < input.container.devices_size(); ++i) {
    RETURN_IF_ERROR(AddRequested(input.container.devices(i), fmt::format("devices[{}].", i),
                                 requested, result.rules));
  }
  for (auto& [path, node] : requested) {
    if (input.host.device_ownership_from_security_context) {
      GiveToUser(input, node);
    }
    nodes[path] = std::move(node);
  }
  DropCovered(input, nodes);
  for (auto& [path, node] : nodes) {
    result.nodes.push_back(std::move(node));
  }
  return result;
}

}  // namespace davit::server::spec
