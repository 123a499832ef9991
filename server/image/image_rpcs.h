// SPDX-License-Identifier: Apache-2.0
//
// Handlers of runtime.v1.ImageService, one for each file of its name.
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/chunks.h"
#include "server/node.h"

namespace davit::server {

absl::StatusOr<runtime::v1::ListImagesResponse> ListImages(
    Node& node, Context& ctx, const runtime::v1::ListImagesRequest& request);
absl::StatusOr<Filler<runtime::v1::StreamImagesResponse>> StreamImages(
    Node& node, const runtime::v1::StreamImagesRequest& request);
// An image that is not here is an empty response, not an error.
absl::StatusOr<runtime::v1::ImageStatusResponse> ImageStatus(
    Node& node, Context& ctx, const runtime::v1::ImageStatusRequest& request);
absl::StatusOr<runtime::v1::PullImageResponse> PullImage(
    Node& node, Context& ctx, const runtime::v1::PullImageRequest& request);
// By name: that name goes, and the image with its last. By ID: the image with all its names.
absl::StatusOr<runtime::v1::RemoveImageResponse> RemoveImage(
    Node& node, Context& ctx, const runtime::v1::RemoveImageRequest& request);
absl::StatusOr<runtime::v1::ImageFsInfoResponse> ImageFsInfo(
    Node& node, Context& ctx, const runtime::v1::ImageFsInfoRequest& request);

}  // namespace davit::server
