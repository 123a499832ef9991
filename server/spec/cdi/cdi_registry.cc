// SPDX-License-Identifier: Apache-2.0
#include "server/spec/cdi/cdi_registry.h"

#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::spec {
namespace {

bool IsSpecFile(const std::string& name) {
  return name.front() != '.' &&
         (name.ends_with(".json") || name.ends_with(".yaml") || name.ends_with(".yml"));
}

}  // namespace

CdiRegistry CdiRegistry::Read(const std::vector<std::string>& directories) {
  CdiRegistry registry;
  for (size_t priority = 0; priority < directories.size(); ++priority) {
    const auto names = ListDir(directories[priority]);
    if (!names.ok()) {
      if (!absl::IsNotFound(names.status())) {
        registry.broken_.push_back(Message(names.status()));
      }
      continue;
    }
    for (const std::string& name : *names) {
      if (IsSpecFile(name)) {
        registry.AddFile(JoinPath(directories[priority], name), priority);
      }
    }
  }
  return registry;
}

void CdiRegistry::AddFile(const std::string& path, size_t priority) {
  const auto text = ReadFile(path);
  if (!text.ok()) {
    broken_.push_back(Message(text.status()));
    return;
  }
  auto spec = ParseCdiSpec(*text, path);
  if (!spec.ok()) {
    broken_.push_back(Message(spec.status()));
    return;
  }
  for (auto& [name, edits] : spec->devices) {
    Entry& entry = devices_[spec->kind + "=" + name];
    if (!entry.device.spec_path.empty() && entry.priority == priority) {
      entry.conflict = path;
      continue;
    }
    entry = Entry{Device{path, spec->edits, std::move(edits)}, priority, ""};
  }
}

absl::StatusOr<CdiRegistry::Device> CdiRegistry::Find(const std::string& qualified_name) const {
  RETURN_IF_ERROR(ParseCdiName(qualified_name).status());
  const auto found = devices_.find(qualified_name);
  if (found == devices_.end()) {
    return FailedPrecondition("CDI device {} is not known on this node{}", qualified_name,
                              broken_.empty() ? "" : " (" + Join(broken_, "; ") + ")");
  }
  if (!found->second.conflict.empty()) {
    return FailedPrecondition("CDI device {} stands in {} and in {}: remove one of them",
                              qualified_name, found->second.device.spec_path,
                              found->second.conflict);
  }
  return found->second.device;
}

}  // namespace davit::server::spec
