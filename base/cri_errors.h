// SPDX-License-Identifier: Apache-2.0
//
// How the message of an error must begin for the kubelet to know its cause (k8s.io/cri-api,
// pkg/errors): it compares the beginnings of messages, since gRPC has no code for these.
#pragma once

namespace davit {

// PullImage: the registry cannot be reached.
inline constexpr char kRegistryUnavailable[] = "RegistryUnavailable";
// PullImage, CreateContainer: the signature policy refuses the image.
inline constexpr char kSignatureValidationFailed[] = "SignatureValidationFailed";
// CreateContainer: an image cannot be mounted as a volume.
inline constexpr char kImageVolumeMountFailed[] = "ImageVolumeMountFailed";

}  // namespace davit
