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

// A directory and a cgroup of this program: parents of what its tests make.
[[nodiscard]] const std::string& ProgramDir();
[[nodiscard]] const std::string& ProgramCgroup();

// Runs `body` inside and returns its result. Called before any thread exists.
int RunIsolated(int (*body)());

}  // namespace davit::e2e
