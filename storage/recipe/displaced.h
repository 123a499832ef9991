// SPDX-License-Identifier: Apache-2.0
//
// Some tars name a file twice. The later content is in diff/, the earlier one, which the recipe
// needs, in trash/: it is looked for there by size and CRC-32 and moved to kept/.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace davit::storage {

// `directory` holds diff/, trash/ and a complete recipe. False if some content is nowhere.
absl::StatusOr<bool> KeepDisplaced(const std::string& directory);

}  // namespace davit::storage
