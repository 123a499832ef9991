// SPDX-License-Identifier: Apache-2.0
//
// Auth files for the pods of one namespace, as CRI-O has them: a credential provider of the kubelet
// writes DIR/NAMESPACE-SHA256.json before it asks for a pull, where SHA256 is of the repository
// ("docker.io/library/busybox"). Each file is for one pull.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "image/auth/auth_file.h"

namespace davit::image {

// Takes the file away and reads it: of two pulls one gets it. Nothing if there is none, or no
// namespace. The error names the file, which is gone then too.
absl::StatusOr<std::optional<AuthFile>> TakeNamespacedAuth(const std::string& directory,
                                                           const std::string& pod_namespace,
                                                           const std::string& repository);

// Removes what a crash between taking and reading has left.
absl::Status SweepNamespacedAuth(const std::string& directory);

}  // namespace davit::image
