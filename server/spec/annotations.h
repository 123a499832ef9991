// SPDX-License-Identifier: Apache-2.0
//
// Which annotations of pods and containers the daemon acts on.
#pragma once

#include <string>
#include <vector>

namespace davit::server::spec {

// Devices of the node: HOST[:CONTAINER][:rwm], comma-separated.
inline constexpr char kDevicesAnnotation[] = "davit.io/devices";
// What becomes of a container that calls what its seccomp profile forbids (seccomp_notifier.h).
inline constexpr char kSeccompNotifierAnnotation[] = "davit.io/seccomp-notifier-action";
// "true": a volume whose directory has the container's SELinux label already is not walked.
inline constexpr char kSkipRelabelAnnotation[] = "davit.io/try-skip-volume-selinux-label";
// "disable": what latency-critical containers do without on CPUs of their own (docs/resources.md).
inline constexpr char kCpuQuotaAnnotation[] = "cpu-quota.crio.io";
inline constexpr char kLoadBalancingAnnotation[] = "cpu-load-balancing.crio.io";
inline constexpr char kIrqAnnotation[] = "irq-load-balancing.crio.io";

// `allowed` is allowed_annotations of a runtime handler: names, or beginnings of names with "*".
[[nodiscard]] bool IsAllowed(const std::vector<std::string>& allowed, const std::string& key);

}  // namespace davit::server::spec
