// SPDX-License-Identifier: Apache-2.0
//
// Lower directories that exist only while an overlay is being mounted: ID-mapped views of layers,
// and the merged view of more layers than one overlay takes. Each is attached below a scratch
// directory (older kernels refuse detached mounts as lowers) and gone with the object; an overlay
// mount keeps what it has taken. One thread.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::storage {

class LowerMounts {
 public:
  // `scratch` is made if it is missing; recovery unmounts what a crash leaves there.
  explicit LowerMounts(std::string scratch) : scratch_(std::move(scratch)) {}
  ~LowerMounts();
  LowerMounts(const LowerMounts&) = delete;
  LowerMounts& operator=(const LowerMounts&) = delete;

  // A new mount point, for the caller to mount on.
  absl::StatusOr<std::string> NewTarget();
  // Attaches a detached mount and returns its path.
  absl::StatusOr<std::string> Attach(const UniqueFd& mount);

 private:
  const std::string scratch_;
  std::vector<std::string> attached_;
};

}  // namespace davit::storage
