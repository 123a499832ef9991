// SPDX-License-Identifier: Apache-2.0
//
// What a PodSandboxConfig says, checked and with the defaults that the CRI leaves to the runtime.
// Pure functions.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"

#include "config/config.h"
#include "server/api/api.pb.h"

namespace davit::server {

// Metadata, hostname, log directory, DNS, ports, namespaces and sysctls. InvalidArgument names the
// field.
absl::Status CheckPodConfig(const runtime::v1::PodSandboxConfig& config);

// name_namespace_uid_attempt, each part escaped so that no two pods share a name.
std::string SandboxName(const runtime::v1::PodSandboxMetadata& metadata);
// `text` with what separates parts escaped ("_" and "%").
std::string EscapeNamePart(const std::string& text);

bool HostNetwork(const runtime::v1::PodSandboxConfig& config);
bool HostIpc(const runtime::v1::PodSandboxConfig& config);
runtime::v1::NamespaceMode PidMode(const runtime::v1::PodSandboxConfig& config);

// The request's, else the node's for a pod on the host's network, else the pod's name.
std::string PodHostname(const runtime::v1::PodSandboxConfig& config);

// Absolute: the request's, else one below the node's default.
std::string LogDirectory(const runtime::v1::PodSandboxConfig& config, const config::Runtime& node);

// The node's defaults under the request's. Defaults for a namespace that is the host's are left
// out. IDs are the host's: those of a pod with a user namespace of its own are translated.
std::map<std::string, std::string> PodSysctls(const runtime::v1::PodSandboxConfig& config,
                                              const config::Runtime& node);

}  // namespace davit::server
