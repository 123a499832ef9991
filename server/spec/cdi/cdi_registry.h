// SPDX-License-Identifier: Apache-2.0
//
// The CDI devices of this node, by the files that are there now: looked up anew for each container
// that asks for one, so that what a device plugin writes counts at once. A device in a later
// directory replaces one of the same name in an earlier directory; two in one directory are a
// conflict that only who asks for that device sees. The same with a file that cannot be read.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "server/spec/cdi/cdi_spec.h"

namespace davit::server::spec {

class CdiRegistry {
 public:
  // Directories that are not there are empty.
  static CdiRegistry Read(const std::vector<std::string>& directories);

  struct Device {
    std::string spec_path;  // edits of one file are applied once for all of its devices
    nlohmann::json spec_edits;
    nlohmann::json device_edits;
  };
  // FailedPrecondition names the device and files that could not be read; a conflict names both
  // files.
  [[nodiscard]] absl::StatusOr<Device> Find(const std::string& qualified_name) const;

 private:
  void AddFile(const std::string& path, size_t priority);

  struct Entry {
    Device device;
    size_t priority = 0;
    std::string conflict;  // the other file of that name and priority
  };
  std::map<std::string, Entry> devices_;
  std::vector<std::string> broken_;
};

}  // namespace davit::server::spec
