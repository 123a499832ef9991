// SPDX-License-Identifier: Apache-2.0
//
// Mount namespaces that are made for a purpose and held by a descriptor (as of /proc/PID/ns/mnt):
// for setns(2), and for SpawnOptions::mount_namespace. They, and the mounts that only they have,
// are gone with the last descriptor and the last process in them. Linux 5.2 (open_tree,
// move_mount).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

// One that has copies of these mounts of ours and no others, "/" first and each after what it lies
// on. None of them receives or passes on what is mounted elsewhere later.
absl::StatusOr<UniqueFd> MakeMountNamespace(const std::vector<std::string>& targets);

// A detached tree of mounts (base/mount_tree.h), and where it is to be.
struct PlacedTree {
  UniqueFd tree;
  std::string target;  // exists in the namespace
};

// A copy of a namespace, with these trees attached one after the other.
absl::StatusOr<UniqueFd> ExtendMountNamespace(int name_space, const std::vector<PlacedTree>& trees);

}  // namespace davit
