// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"

#include "storage/state.h"

namespace davit::storage {

// Storage::MeasureLayers. A layer does not change, so each is measured once; what was found is kept
// in its record.
absl::Status MeasureLayers(State& state) ABSL_LOCKS_EXCLUDED(state.changes);

}  // namespace davit::storage
