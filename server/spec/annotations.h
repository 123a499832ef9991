// SPDX-License-Identifier: Apache-2.0
//
// Which annotations of pods and containers the daemon acts on.
#pragma once

#include <string>
#include <vector>

namespace davit::server::spec {

// Devices of the node: HOST[:CONTAINER][:rwm], comma-separated.
inline constexpr char kDevicesAnnotation[] = "davit.io/devices";
// A class of Intel RDT (resctrl).
inline constexpr char kRdtAnnotation[] = "io.kubernetes.cri.rdt-class";
// What becomes of a container that calls what its seccomp profile forbids (seccomp_notifier.h).
inline constexpr char kSeccompNotifierAnnotation[] = "davit.io/seccomp-notifier-action";
// "true": a volume whose directory has the container's SELinux label already is not walked.
inline constexpr char kSkipRelabelAnnotation[] = "davit.io/try-skip-volume-selinux-label";

// `allowed` is allowed_annotations of a runtime handler: names, or beginnings of names with "*".
[[nodiscard]] bool IsAllowed(const std::vector<std::string>& allowed, const std::string& key);

}  // namespace davit::server::spec
