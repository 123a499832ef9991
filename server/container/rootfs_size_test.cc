// SPDX-License-Identifier: Apache-2.0
#include "server/container/rootfs_size.h"

#include <gtest/gtest.h>

namespace davit::server {
namespace {

TEST(RootfsSize, OnlyWhereAllowed) {
  runtime::v1::PodSandboxConfig pod;
  runtime::v1::ContainerConfig container;
  const std::vector<std::string> allowed = {"davit.io/*"};
  EXPECT_EQ(*RootfsSize(pod, container, allowed), 0U);
  (*pod.mutable_annotations())[kRootfsSizeAnnotation] = "1Gi";
  EXPECT_EQ(*RootfsSize(pod, container, {}), 0U) << "the handler does not allow it";
  EXPECT_EQ(*RootfsSize(pod, container, allowed), uint64_t{1} << 30U);
  (*container.mutable_annotations())[kRootfsSizeAnnotation] = "5M";
  EXPECT_EQ(*RootfsSize(pod, container, allowed), 5'000'000U) << "the container's comes first";
  for (const char* bad : {"", "much", "0", "-1"}) {
    (*container.mutable_annotations())[kRootfsSizeAnnotation] = bad;
    EXPECT_EQ(RootfsSize(pod, container, allowed).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

}  // namespace
}  // namespace davit::server
