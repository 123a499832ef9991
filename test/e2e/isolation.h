// SPDX-License-Identifier: Apache-2.0
//
// A test program runs its tests in PID, mount, network, IPC and UTS namespaces of its own: programs
// run side by side with the same addresses and ports, and whatever a failed test leaves (processes,
// mounts, links, firewall rules) ends with the program, and its files with them: they are in
// memory. What no namespace holds, an empty directory and a cgroup, is removed by the process that
// stays outside.
#pragma once

#include <string>

namespace davit::e2e {

// Why the tests cannot run here; "" if they can.
[[nodiscard]] std::string WhyNot();

// Whether the daemons under test let systemd make cgroups: DAVIT_E2E_CGROUP_MANAGER is "systemd".
// There is no PID namespace then, in which the numbers of processes would mean nothing to systemd.
[[nodiscard]] bool BySystemd();

// A directory and a cgroup of this program: parents of what its tests make.
[[nodiscard]] const std::string& ProgramDir();
[[nodiscard]] const std::string& ProgramCgroup();

// Ends all that is in a slice of systemd.
void StopSlice(const std::string& cgroup);

// Runs `body` inside and returns its result. Called before any thread exists.
int RunIsolated(int (*body)());

}  // namespace davit::e2e
