// SPDX-License-Identifier: Apache-2.0
//
// The text of a pod's resolv.conf and hosts file. Pure but for reading the host's files.
#pragma once

#include <string>
#include <vector>

#include "server/api/api.pb.h"

namespace davit::server {

// Of a pod that names servers, searches or options; values have been checked to be single words.
std::string ResolvConfText(const runtime::v1::DNSConfig& dns);

// The host's own, for a pod that names nothing. A pod with a network of its own cannot reach a
// resolver on the host's loopback: if the host knows only such ones, systemd-resolved's list of
// real servers is taken where there is one. A host without the file gives "".
std::string HostResolvConf(bool host_network, const std::string& etc = "/etc/resolv.conf",
                           const std::string& resolved = "/run/systemd/resolve/resolv.conf");

// /etc/hosts of a pod with its own network.
std::string HostsText(const std::string& hostname, const std::vector<std::string>& ips);

}  // namespace davit::server
