// SPDX-License-Identifier: Apache-2.0
//
// An image record as the CRI shows it, and images by what a request calls them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "server/api/api.pb.h"
#include "server/node.h"
#include "storage/storage.h"

namespace davit::server {

// Where the CRI's image spec carries the type of an OCI artifact.
inline constexpr char kArtifactTypeAnnotation[] = "davit.artifact-type";
// And the root of the additional store that an image lies in.
inline constexpr char kStoreAnnotation[] = "davit.store";

// Pinned by what the configuration says now; what lies in an additional store is, so that nobody
// tries to collect it.
runtime::v1::Image ToCri(const Node& node, const storage::ImageRecord& record);

// By ID, ID prefix, or any form of its name ("busybox", "docker.io/library/busybox:latest");
// nothing if it is not here. InvalidArgument for a name that is no reference.
absl::StatusOr<std::optional<std::shared_ptr<const storage::ImageRecord>>> FindImage(
    const Node& node, const std::string& name,
    storage::Damaged damaged = storage::Damaged::kHidden);

}  // namespace davit::server
