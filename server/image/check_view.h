// SPDX-License-Identifier: Apache-2.0
//
// What a check of the store says, as messages: the daemon sends them, `davit check` without a
// daemon makes them itself.
#pragma once

#include "server/api/davit.pb.h"
#include "storage/check/check.h"

namespace davit::server {

davit::v1::CheckFinding ToMessage(const storage::CheckFinding& finding);
davit::v1::CheckReport ToMessage(const storage::CheckReport& report);

}  // namespace davit::server
