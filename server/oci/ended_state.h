// SPDX-License-Identifier: Apache-2.0
//
// What an OCI runtime still keeps of a container that has ended, and whether its `delete` would do
// more with it than Davit can do without starting a process of 6 to 9 ms.
//
// Seen with strace, of `delete --force` of a container that has ended: runc 1.1.5 reads
// <root>/<id>/state.json, looks whether the first process lives (/proc/PID/stat, freezer.state),
// removes the cgroup in each hierarchy, then the directory. crun 1.8.1 reads `status` and
// `config.json` there, looks (pidfd_open, /proc/PID/stat), freezes, kills and thaws what is in the
// cgroup, removes it in each hierarchy, then the directory. Beyond that, where there is such a
// thing: poststop hooks, a class of resctrl that the runtime has made, and the unit of a container
// that systemd has in a scope.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"

#include "server/oci/runtime.h"

namespace davit::server::oci {

struct EndedContainer {
  std::string id;
  pid_t pid = 0;  // of its first process; 0: it is not known
  uint64_t start_time = 0;
};

// Where the runtime keeps what it knows of a container: crun and runc, others perhaps elsewhere.
std::string StateDirectory(const Runtime& runtime, const std::string& id);

// False if the runtime certainly knows no such container. Asks no process.
bool MayKnow(const Runtime& runtime, const std::string& id);

// OK if all that is left to do is to remove the container's cgroup and then StateDirectory, which
// may be gone. FailedPrecondition says why it takes the runtime's `delete`: a runtime that is
// neither crun nor runc, state that is not in the form known here or not this container's, a first
// process that is there, poststop hooks, a class of Intel RDT, an annotation to crun.
absl::Status CheckRemovable(const Runtime& runtime, const EndedContainer& container);

}  // namespace davit::server::oci
