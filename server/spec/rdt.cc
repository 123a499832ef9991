// SPDX-License-Identifier: Apache-2.0
//
// Intel RDT: the container's tasks go into a class of resctrl that the node's administrator has
// made, by annotation where the handler allows it.
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/sections.h"

namespace davit::server::spec {

absl::StatusOr<Json> BuildRdt(const SpecInput& input) {
  const auto [annotation, name] = RequestedClass(input, "rdt");
  if (name.empty()) {
    return Json();
  }
  if (name.find('/') != std::string::npos || name.front() == '.') {
    return InvalidArgument("annotation {}: \"{}\" is not the name of a class", annotation,
                           Printable(name));
  }
  const std::string resctrl = JoinPath(input.sys_root, "fs/resctrl");
  if (!PathExists(JoinPath(resctrl, "schemata"))) {
    return FailedPrecondition("annotation {}: resctrl is not mounted on this node", annotation);
  }
  if (!PathExists(JoinPath(resctrl, name))) {
    return FailedPrecondition("annotation {}: this node has no class {}", annotation,
                              Printable(name));
  }
  return Json{{"closID", name}};
}

}  // namespace davit::server::spec
