// SPDX-License-Identifier: Apache-2.0
//
// The first process of a pod's shared PID namespace: it reaps what is orphaned there and ends at
// SIGTERM. It owns nothing: no capability, no descriptor, no file system, user 65535, and its
// program is a sealed copy in memory, so that no container can overwrite the one on disk through
// /proc/1/exe.
#pragma once

namespace davit::conmon {

inline constexpr char kInfraName[] = "davit-infra";

// `--infra [--userns PIN] [--netns PIN] [--ipcns PIN] [--utsns PIN]`: joins the pod's namespaces,
// makes a PID namespace (which the user namespace owns) and the process in it.
// Reports on stdout, see InfraReport; then waits for stdin.
int InfraStartMain(int argc, char** argv);

// The process itself, executed from the copy.
int InfraMain();

}  // namespace davit::conmon
