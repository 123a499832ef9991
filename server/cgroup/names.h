// SPDX-License-Identifier: Apache-2.0
//
// Names of cgroups: paths, and the units of systemd that stand for them (systemd.slice(5)).
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace davit::server {

// "a//b/" -> "/a/b". The root cgroup, "." and ".." are refused.
absl::StatusOr<std::string> NormalizeCgroup(const std::string& cgroup);

// By the last part of a path.
bool IsSlice(std::string_view cgroup);
bool IsScope(std::string_view cgroup);
std::string UnitOf(std::string_view cgroup);  // the last part

// Where systemd has a slice: "a-b.slice" -> "/a.slice/a-b.slice". InvalidArgument for what cannot
// be the name of one.
absl::StatusOr<std::string> SlicePath(const std::string& slice);

// The slice of a cgroup that is written as a path: "/a/b-c" -> "a-b_c.slice", as the kubelet
// translates its own. A slice stays what it is.
absl::StatusOr<std::string> SliceFor(const std::string& cgroup);

}  // namespace davit::server
