// SPDX-License-Identifier: Apache-2.0
//
// Overlay mounts. With Linux 6.7 or newer by the new mount API, one fsconfig call a layer; else by
// mount(2), whose page of options holds any image because layers are named by descriptor numbers
// relative to /proc/self/fd.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::storage {

// The kernel's limit on lower layers of one mount (OVL_MAX_STACK).
inline constexpr size_t kMaxLowers = 500;
// One of them may be an overlay of its own, the lowest: what it hides needs to hide nothing below.
// The kernel stacks two overlays, not three.
inline constexpr size_t kMaxLayers = 2 * kMaxLowers - 1;

struct OverlaySpec {
  std::vector<std::string> lowers;  // topmost first; at least one, two if there is no upper;
                                    // at most kMaxLayers
  std::string upper;                // both empty: a read-only mount
  std::string work;
  std::vector<std::string> options;  // "metacopy=off", "volatile", "nodev", "ro" …
  std::string scratch = {};          // for mount points of a moment; needed from kMaxLowers on
};

enum class MountApi { kAuto, kNew, kLegacy };

// InvalidArgument for an option that the kernel refuses, with the kernel's words where it has any.
absl::Status MountOverlay(const OverlaySpec& spec, const std::string& target,
                          MountApi api = MountApi::kAuto);

// A mount without a path, gone with the descriptor (O_PATH of its root). `scratch` is a directory
// in which the older API makes a mount point for a moment.
absl::StatusOr<UniqueFd> OpenOverlay(const OverlaySpec& spec, const std::string& scratch,
                                     MountApi api = MountApi::kAuto);

// True if `path` itself is the root of a mount; false if it is not or does not exist.
absl::StatusOr<bool> IsMountPoint(const std::string& path);

}  // namespace davit::storage
