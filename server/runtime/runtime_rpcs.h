// SPDX-License-Identifier: Apache-2.0
//
// Handlers about the runtime as a whole.
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

absl::StatusOr<runtime::v1::VersionResponse> Version(Node& node, Context& ctx,
                                                     const runtime::v1::VersionRequest& request);
absl::StatusOr<runtime::v1::StatusResponse> Status(Node& node, Context& ctx,
                                                   const runtime::v1::StatusRequest& request);
absl::StatusOr<runtime::v1::RuntimeConfigResponse> RuntimeConfig(
    Node& node, Context& ctx, const runtime::v1::RuntimeConfigRequest& request);
// The pod CIDR is accepted and logged: CNI plugins get theirs from their own configuration.
absl::StatusOr<runtime::v1::UpdateRuntimeConfigResponse> UpdateRuntimeConfig(
    Node& node, Context& ctx, const runtime::v1::UpdateRuntimeConfigRequest& request);

}  // namespace davit::server
