// SPDX-License-Identifier: Apache-2.0
//
// Paths within a container as requests and images name them: checked and tidied as text, never
// resolved here (the OCI runtime does that beneath the container's root).
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace davit::server::spec {

// "/a//b/./c/" -> "/a/b/c". InvalidArgument (naming `field`) for a path that is empty, relative,
// has a ".." component or a control character.
absl::StatusOr<std::string> CleanContainerPath(const std::string& path, const std::string& field);

// Both clean. Whether `path` is `directory` or lies beneath it.
bool IsAtOrBeneath(std::string_view path, std::string_view directory);

// Number of components of a clean path; 0 for "/".
size_t PathDepth(std::string_view path);

// Whether the bytes are well-formed UTF-8: all that a JSON text can carry.
bool IsUtf8(std::string_view bytes);

}  // namespace davit::server::spec
