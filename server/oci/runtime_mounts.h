// SPDX-License-Identifier: Apache-2.0
//
// The mount namespaces that OCI runtimes run in. A node with hundreds of pods has thousands of
// mounts, some five for each pod. A runtime reads the list of those it sees several times in each
// call, and for each container it starts copies all of them and throws the copies away. So it is
// shown none but those that it needs, and its cost does not grow with the pods. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::server::oci {

class RuntimeMounts {
 public:
  // What the node has at the time: kernel file systems, and whatever `paths` lie on (with those of
  // the base system). It holds nothing that the node may want to unmount.
  static absl::StatusOr<std::shared_ptr<const RuntimeMounts>> Create(
      const std::vector<std::string>& paths);

  // A namespace for calls about a container that runs, which execute no hooks: exec, update.
  [[nodiscard]] int lean() const { return lean_.get(); }

  // One for the start of a container: the lean one with `own_directories` (each with all that is
  // mounted below it) and with what the container's config binds, every mount a peer of the node's
  // as if there was no namespace in between. FailedPrecondition says what of the config asks for
  // the node's own: OCI hooks, a source that contains `own_directories` or is not to be found.
  [[nodiscard]] absl::StatusOr<UniqueFd> ForContainer(
      const std::vector<std::string>& own_directories, const std::string& config_file) const;

 private:
  explicit RuntimeMounts(UniqueFd lean) : lean_(std::move(lean)) {}

  UniqueFd lean_;
};

}  // namespace davit::server::oci
