// SPDX-License-Identifier: Apache-2.0
//
// Block I/O: a class of runtime.blockio_config, by annotation where the handler allows it, becomes
// linux.resources.blockIO. The file is YAML in the form that container engines share
// (docs/resources.md) and is read for each container that asks, so that a change counts at once,
// and devices that have come meanwhile are found.
#include <glob.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <compare>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/annotations.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

constexpr size_t kMaxBytes = 1U << 20U;
constexpr size_t kMaxItems = 10'000;  // entries and devices of all classes
constexpr uint64_t kLeastWeight = 10;
constexpr uint64_t kMostWeight = 1000;

// What the file calls a limit (whatever its case), and the runtime specification.
constexpr std::array<std::pair<const char*, const char*>, 4> kThrottles = {
    {{"throttlereadbps", "throttleReadBpsDevice"},
     {"throttlewritebps", "throttleWriteBpsDevice"},
     {"throttlereadiops", "throttleReadIOPSDevice"},
     {"throttlewriteiops", "throttleWriteIOPSDevice"}}};

// One entry of a class. 0: not said.
struct Parameters {
  std::vector<std::string> devices;  // patterns; none: all devices without an entry of their own
  uint64_t weight = 0;
  std::array<uint64_t, kThrottles.size()> throttles = {};
};

using Class = std::vector<Parameters>;
using Classes = std::map<std::string, Class>;

// May throw what yaml-cpp throws, which ReadClasses catches.
class ClassReader {
 public:
  absl::StatusOr<Classes> Read(const YAML::Node& root) {
    if (!root.IsMap()) {
      return InvalidArgument("must be a mapping with the key Classes");
    }
    Classes classes;
    for (const auto& entry : root) {
      if (Lower(entry.first.Scalar()) != "classes") {
        return Wrong(entry.first, "is not a key of this file; Classes is");
      }
      if (!entry.second.IsMap() && !entry.second.IsNull()) {
        return Wrong(entry.first, "must be a mapping of class names to lists");
      }
      for (const auto& item : entry.second) {
        ASSIGN_OR_RETURN(classes[item.first.Scalar()], ReadClass(item.first, item.second));
      }
    }
    return classes;
  }

 private:
  static absl::Status Wrong(const YAML::Node& node, const std::string& what) {
    const std::string name = node.IsScalar() ? Printable(node.Scalar(), 80) + " " : "";
    return InvalidArgument("line {}: {}{}", node.Mark().line + 1, name, what);
  }

  // Aliases may multiply what a small file says.
  absl::Status Count() {
    return ++items_ > kMaxItems ? InvalidArgument("holds more than {} entries", kMaxItems)
                                : absl::OkStatus();
  }

  absl::StatusOr<Class> ReadClass(const YAML::Node& name, const YAML::Node& list) {
    if (!list.IsSequence() && !list.IsNull()) {
      return Wrong(name, "must be a list of parameters");
    }
    Class result;
    for (const auto& item : list) {
      RETURN_IF_ERROR(Count());
      ASSIGN_OR_RETURN(Parameters parameters, ReadParameters(name, item));
      result.push_back(std::move(parameters));
    }
    return result;
  }

  absl::StatusOr<Parameters> ReadParameters(const YAML::Node& name, const YAML::Node& map) {
    if (!map.IsMap()) {
      return Wrong(name, "holds an entry that is no mapping of parameters");
    }
    Parameters parameters;
    for (const auto& entry : map) {
      RETURN_IF_ERROR(ReadParameter(entry.first, entry.second, parameters));
    }
    const bool throttled = parameters.throttles != decltype(parameters.throttles)();
    if (throttled && parameters.devices.empty()) {
      return Wrong(name, "throttles without Devices, which the kernel cannot do for all at once");
    }
    return parameters;
  }

  absl::Status ReadParameter(const YAML::Node& key, const YAML::Node& value, Parameters& out) {
    const std::string name = Lower(key.Scalar());
    if (name == "devices") {
      return ReadDevices(key, value, out.devices);
    }
    if (name == "weight") {
      RETURN_IF_ERROR(ReadQuantity(key, value, out.weight));
      if (out.weight < kLeastWeight || out.weight > kMostWeight) {
        return Wrong(value, fmt::format("is no weight from {} to {}", kLeastWeight, kMostWeight));
      }
      return absl::OkStatus();
    }
    for (size_t i = 0; i < kThrottles.size(); ++i) {
      if (name == kThrottles[i].first) {
        return ReadQuantity(key, value, out.throttles[i]);
      }
    }
    return Wrong(key,
                 "is no parameter; known are Devices, Weight, ThrottleReadBps, ThrottleWriteBps, "
                 "ThrottleReadIOPS and ThrottleWriteIOPS");
  }

  absl::Status ReadDevices(const YAML::Node& key, const YAML::Node& list,
                           std::vector<std::string>& devices) {
    if (!list.IsSequence()) {
      return Wrong(key, "must be a list of paths");
    }
    for (const auto& item : list) {
      RETURN_IF_ERROR(Count());
      if (!item.IsScalar() || !item.Scalar().starts_with('/')) {
        return Wrong(item, "is no absolute path (with *, ? and [] if need be)");
      }
      devices.push_back(item.Scalar());
    }
    return absl::OkStatus();
  }

  static absl::Status ReadQuantity(const YAML::Node& key, const YAML::Node& value, uint64_t& out) {
    const auto number = value.IsScalar() ? ParseQuantity(value.Scalar()) : std::nullopt;
    if (!number) {
      return Wrong(key, "must be a number such as 100, 10k or 50M");
    }
    out = *number;
    return absl::OkStatus();
  }

  size_t items_ = 0;
};

absl::StatusOr<Classes> ReadClasses(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  try {
    return ClassReader().Read(YAML::Load(text));
  } catch (const std::exception& error) {
    return InvalidArgument("{}", error.what());
  }
}

struct Device {
  unsigned major = 0;
  unsigned minor = 0;
  auto operator<=>(const Device&) const = default;
};

// The whole devices among what the pattern matches: the kernel knows no limits of partitions.
std::vector<Device> FindDevices(const std::string& pattern, const std::string& sys_root) {
  std::vector<Device> devices;
  glob_t found = {};
  // NOLINTNEXTLINE(concurrency-mt-unsafe): without GLOB_TILDE it looks nobody up
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      struct stat st = {};
      if (stat(found.gl_pathv[i], &st) != 0 || !S_ISBLK(st.st_mode)) {
        continue;
      }
      const Device device{major(st.st_rdev), minor(st.st_rdev)};
      if (!PathExists(JoinPath(
              sys_root, fmt::format("dev/block/{}:{}/partition", device.major, device.minor)))) {
        devices.push_back(device);
      }
    }
  }
  globfree(&found);
  return devices;
}

// Of two entries that match a device the later counts, whole.
Json ClassJson(const Class& entries, const std::string& sys_root) {
  Json result = Json::object();
  std::map<Device, const Parameters*> by_device;
  for (const Parameters& entry : entries) {
    if (entry.devices.empty() && entry.weight != 0) {
      result["weight"] = entry.weight;
    }
    for (const std::string& pattern : entry.devices) {
      const std::vector<Device> devices = FindDevices(pattern, sys_root);
      if (devices.empty()) {
        log::Debug("blockio: no block device is {}", Printable(pattern));
      }
      for (const Device& device : devices) {
        by_device[device] = &entry;
      }
    }
  }
  for (const auto& [device, entry] : by_device) {
    const Json numbers = {{"major", device.major}, {"minor", device.minor}};
    const auto add = [&](const char* list, const char* key, uint64_t value) {
      if (value != 0) {
        result[list].push_back(numbers);
        result[list].back()[key] = value;
      }
    };
    add("weightDevice", "weight", entry->weight);
    for (size_t i = 0; i < kThrottles.size(); ++i) {
      add(kThrottles[i].second, "rate", entry->throttles[i]);
    }
  }
  return result;
}

// Refused, or, where the node says so, passed over.
absl::StatusOr<Json> Missing(const SpecInput& input, const ClassRequest& request,
                             const std::string& why) {
  if (!input.node.ignore_missing_blockio_class) {
    return FailedPrecondition("annotation {}: {}", request.annotation, why);
  }
  log::Warning("container {}: annotation {}: {}; it runs without",
               Printable(input.container.metadata().name(), 80), request.annotation, why);
  return Json();
}

}  // namespace

absl::Status CheckBlockIoFile(const std::string& path) {
  return WithCode(absl::StatusCode::kFailedPrecondition,
                  Annotate(ReadClasses(path).status(), "runtime.blockio_config " + path));
}

absl::StatusOr<Json> BuildBlockIo(const SpecInput& input) {
  const ClassRequest request = RequestedClass(input, "blockio");
  if (request.name.empty()) {
    return Json();
  }
  const std::string name = Printable(request.name, 80);
  const std::string& path = input.node.blockio_config;
  if (path.empty()) {
    return Missing(
        input, request,
        fmt::format("this node has no class {}: runtime.blockio_config is not set", name));
  }
  const absl::StatusOr<Classes> classes = ReadClasses(path);
  if (!classes.ok()) {
    return FailedPrecondition("annotation {}: class {}: runtime.blockio_config {}: {}",
                              request.annotation, name, path, Message(classes.status()));
  }
  const auto found = classes->find(request.name);
  if (found == classes->end()) {
    std::vector<std::string> known;
    for (const auto& [other, entries] : *classes) {
      known.push_back(Printable(other, 80));
    }
    return Missing(input, request,
                   fmt::format("this node has no class {}; {} has {}", name, path,
                               known.empty() ? "none" : Join(known, ", ")));
  }
  Json result = ClassJson(found->second, input.sys_root);
  return result.empty() ? Json() : result;
}

}  // namespace davit::server::spec
