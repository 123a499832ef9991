// SPDX-License-Identifier: Apache-2.0
#include "image/pinned.h"

#include <gtest/gtest.h>

namespace davit::image {
namespace {

bool Pinned(const std::string& pattern, const std::string& name) {
  storage::ImageRecord image;
  image.tags = {name};
  return IsPinned(image, {pattern});
}

TEST(Pinned, Patterns) {
  EXPECT_TRUE(Pinned("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"));
  EXPECT_TRUE(Pinned("registry.k8s.io/pause", "registry.k8s.io/pause:3.10"));
  EXPECT_TRUE(Pinned("registry.k8s.io/pause*", "registry.k8s.io/pause:3.10"));
  EXPECT_TRUE(Pinned("*PAUSE*", "registry.k8s.io/pause:3.10"));
  EXPECT_TRUE(Pinned("busybox:1", "docker.io/library/busybox:1"));
  EXPECT_TRUE(Pinned("busybox", "docker.io/library/busybox:1"));
  EXPECT_TRUE(Pinned("user/app", "docker.io/user/app:1"));
  EXPECT_TRUE(Pinned("host:5000/app", "host:5000/app:1"));
  EXPECT_FALSE(Pinned("busybox", "quay.io/busybox:1"));
  EXPECT_FALSE(Pinned("pause", "registry.k8s.io/pause:3.10"));
  EXPECT_FALSE(Pinned("", "registry.k8s.io/pause:3.10"));
  EXPECT_FALSE(Pinned("registry.k8s.io/pause:3.1", "registry.k8s.io/pause:3.10"));
}

}  // namespace
}  // namespace davit::image
