// SPDX-License-Identifier: Apache-2.0
//
// AppArmor: what the kernel has, and the profile that Davit brings (apparmor.d(5)).
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"

namespace davit::server::spec {

// What RuntimeDefault means on a kernel with AppArmor, and a request that says nothing.
inline constexpr char kDefaultAppArmorProfile[] = "davit-default";

bool KernelHasAppArmor(const std::string& sys_root = "/sys");
absl::StatusOr<bool> AppArmorProfileIsLoaded(const std::string& sys_root,
                                             const std::string& profile);

// The default profile in the words of apparmor_parser. It stands for itself: the files of the
// distribution are not included.
std::string DefaultAppArmorProfileText();

// Loads it, or its newer version, where the kernel has AppArmor; does nothing elsewhere. Runs
// apparmor_parser: for the start of the daemon. FailedPrecondition if that is missing or refuses;
// containers run without a profile then, and those that ask for one are refused.
absl::Status LoadDefaultAppArmorProfile(Context& ctx);

}  // namespace davit::server::spec
