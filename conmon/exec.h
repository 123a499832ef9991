// SPDX-License-Identifier: Apache-2.0
//
// The monitor of one process that was executed in a container: starts it, waits for it, says how it
// ended. See "Exec" in protocol.h.
#pragma once

#include "conmon/options.h"

namespace davit::conmon {

// Returns when the process has ended. Null, or what failed before there was a report (errno says
// why).
const char* RunExec(const Options& options);

}  // namespace davit::conmon
