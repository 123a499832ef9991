// SPDX-License-Identifier: Apache-2.0
//
// One connection with a monitor's control socket: what finding, attaching and all else have in
// common. For this folder.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/fd.h"
#include "conmon/protocol.h"

namespace davit::server::oci {

// NotFound if nobody listens; a full queue is waited out, unless the context has ended already.
absl::StatusOr<UniqueFd> ConnectToMonitor(Context& ctx, const std::string& run_dir);

absl::Status NoMonitor(const std::string& run_dir);
conmon::Request MonitorRequest(conmon::Command command);
// What errno means after a send failed: NotFound if the monitor ended.
absl::Status MonitorSendFailure(const std::string& run_dir);
absl::StatusOr<conmon::Reply> AwaitMonitorReply(Context& ctx, int fd, const std::string& run_dir);

// One request, one reply. NotFound if the monitor ended meanwhile.
absl::StatusOr<conmon::Reply> CallMonitor(Context& ctx, int fd, conmon::Command command,
                                          const std::string& run_dir);

}  // namespace davit::server::oci
