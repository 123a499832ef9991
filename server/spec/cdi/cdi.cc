// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/cdi/cdi_registry.h"
#include "server/spec/cdi/container_edits.h"
#include "server/spec/container_path.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

constexpr char kAnnotationPrefix[] = "cdi.k8s.io/";

// Of the field, then of the annotations that device plugins used before there was a field; each
// once.
std::vector<std::string> RequestedDevices(const SpecInput& input) {
  std::vector<std::string> names;
  const auto add = [&names](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  };
  for (const auto& device : input.container.cdi_devices()) {
    add(device.name());
  }
  const std::map<std::string, std::string> annotations(input.container.annotations().begin(),
                                                       input.container.annotations().end());
  for (const auto& [key, value] : annotations) {
    if (key.starts_with(kAnnotationPrefix)) {
      for (const std::string& name : Split(value, ',')) {
        add(std::string(Trim(name)));
      }
    }
  }
  return names;
}

void SortMounts(Json& config) {
  Json& mounts = config["mounts"];
  std::stable_sort(mounts.begin(), mounts.end(), [](const Json& a, const Json& b) {
    return PathDepth(JsonString(a, "destination")) < PathDepth(JsonString(b, "destination"));
  });
}

}  // namespace

absl::Status ApplyCdi(const SpecInput& input, Json& config) {
  const std::vector<std::string> names = RequestedDevices(input);
  if (names.empty()) {
    return absl::OkStatus();
  }
  const CdiRegistry registry = CdiRegistry::Read(input.host.cdi_dirs);
  std::set<std::string> files;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const CdiRegistry::Device device, registry.Find(name));
    const std::string what = "CDI device " + name;
    if (files.insert(device.spec_path).second) {
      RETURN_IF_ERROR(ApplyContainerEdits(device.spec_edits, what, config));
    }
    RETURN_IF_ERROR(ApplyContainerEdits(device.device_edits, what, config));
  }
  SortMounts(config);
  return absl::OkStatus();
}

}  // namespace davit::server::spec
