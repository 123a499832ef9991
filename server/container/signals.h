// SPDX-License-Identifier: Apache-2.0
//
// Signals by the CRI's names, and sending one to a container without ever hitting another process.
#pragma once

#include "absl/status/status.h"

#include "server/api/api.pb.h"
#include "server/container/container.h"

namespace davit::server {

// The kernel's number; SIGTERM for RUNTIME_DEFAULT and what is unknown.
int SignalNumber(runtime::v1::Signal signal);

// To the container's first process, if the process of that pid is still the one that was started. A
// container whose process is gone is success.
absl::Status SignalContainer(const Container::Record& record, int signal);

}  // namespace davit::server
