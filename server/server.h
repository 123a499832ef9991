// SPDX-License-Identifier: Apache-2.0
//
// The daemon: opens everything in order, recovers what the last run left, serves until told to
// stop. Containers outlive it: stopping the daemon stops no container.
#pragma once

#include "absl/status/status.h"

#include "config/config.h"

namespace davit::server {

// Runs until SIGTERM or SIGINT; the signals are blocked in the calling thread before any other
// thread exists. An error means that it could not start; the message says what to do.
absl::Status Serve(const config::Config& config);

}  // namespace davit::server
