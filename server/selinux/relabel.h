// SPDX-License-Identifier: Apache-2.0
//
// Labels on files of the host.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "base/context.h"
#include "base/host_path.h"

namespace davit::server::selinux {

// Of one file or directory of the daemon's own.
absl::Status SetLabel(const std::string& path, const std::string& label);

enum class Depth {
  kAlways,    // everything below
  kIfNeeded,  // nothing, where the place itself has the label already
};

// A volume and everything below it: never through a symlink, never into another mount. File systems
// without labels are passed over. InvalidArgument for directories that the machine itself lives in
// (/, /usr, /etc, /home …): a container that gets those may make the machine unusable. Ends with
// the context, between two directories.
absl::Status Relabel(Context& ctx, const HostPath& place, const std::string& label, Depth depth);

}  // namespace davit::server::selinux
