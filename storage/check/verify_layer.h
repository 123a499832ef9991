// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "storage/records.h"

namespace davit::storage {

struct LayerVerdict {
  std::string damage;       // what is wrong, the first things; "" if nothing is
  bool by_content = false;  // all of it was read and compared with the diff ID
  uint64_t bytes = 0;       // of the tar that was made again
};

// Full check of one layer in `directory`. An error: it could not be checked.
absl::StatusOr<LayerVerdict> VerifyLayer(Context& ctx, const std::string& directory,
                                         const LayerRecord& layer);

}  // namespace davit::storage
