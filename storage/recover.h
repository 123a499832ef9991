// SPDX-License-Identifier: Apache-2.0
//
// What Storage::Open does before anybody else sees the store: records and directories are made to
// agree. A directory without a record is what a crash left and goes; a record without its directory
// (deleted by hand, another disk) goes too, so that the image is pulled again.
#pragma once

#include "absl/status/statusor.h"

#include "base/db.h"
#include "storage/paths.h"
#include "storage/records.h"

namespace davit::storage {

// Loads the records, repairs, returns the snapshot to begin with.
absl::StatusOr<Snapshot> Recover(const Paths& paths, Db& db);

}  // namespace davit::storage
