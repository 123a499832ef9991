// SPDX-License-Identifier: Apache-2.0
//
// What is done about containers that call what their seccomp profile forbids, by annotation: such
// calls fail as without it, but the kernel asks the container's monitor first, which counts them in
// a file (SeccompHeader in conmon/protocol.h). The daemon reads it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "server/api/api.pb.h"

namespace davit::server::spec {

enum class ForbiddenCalls {
  kFail,  // nobody is told
  kLog,   // they are counted and logged
  kStop,  // and the container is stopped
};

// The container's annotation, else the pod's; Davit's own name of it, or one of CRI-O's
// (seccomp-notifier-action.crio.io, io.kubernetes.cri-o.seccompNotifierAction). One that the
// handler does not allow asks for nothing. InvalidArgument for a value other than "log" and "stop".
absl::StatusOr<ForbiddenCalls> ForbiddenCallsOf(
    const runtime::v1::PodSandboxConfig& sandbox, const runtime::v1::ContainerConfig& container,
    const std::vector<std::string>& allowed_annotations);

struct CallCounts {
  int64_t last_ns = 0;                    // when the last was counted, ns since the epoch; 0: none
  std::map<std::string, uint64_t> calls;  // by name, those that were called
};
// Of the file's bytes; DataLoss if they are none.
absl::StatusOr<CallCounts> ReadCallCounts(const std::string& bytes);

// "mount (1x), swapoff (4x)"
std::string CallsText(const CallCounts& counts);

}  // namespace davit::server::spec
