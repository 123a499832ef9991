// SPDX-License-Identifier: Apache-2.0
#include "server/container/container_config.h"

#include <string>

#include <gtest/gtest.h>

#include "server/container/exit_watcher.h"
#include "server/container/signals.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;

TEST(ContainerConfig, LogPathStaysBeneathTheLogDirectory) {
  EXPECT_EQ(*LogPath("/logs", ""), "");
  EXPECT_EQ(*LogPath("/logs", "c/0.log"), "/logs/c/0.log");
  EXPECT_EQ(*LogPath("/logs", "..c/0..log"), "/logs/..c/0..log");
  for (const std::string bad : {"/etc/passwd", "../x", "a/../../x", "..", "a/..", ".", "a/"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(LogPath("/logs", bad).status())) << bad;
  }
  EXPECT_FALSE(LogPath("/logs", std::string("a\0b", 3)).ok());
}

TEST(ContainerConfig, MetadataAndImageAreNeeded) {
  v1::ContainerConfig config;
  EXPECT_TRUE(absl::IsInvalidArgument(CheckContainerConfig(config)));
  config.mutable_metadata()->set_name("c");
  EXPECT_TRUE(absl::IsInvalidArgument(CheckContainerConfig(config)));
  config.mutable_image()->set_image("busybox");
  EXPECT_TRUE(CheckContainerConfig(config).ok());
  config.mutable_metadata()->set_name("a b");
  EXPECT_TRUE(absl::IsInvalidArgument(CheckContainerConfig(config)));
}

TEST(ContainerConfig, NameHoldsTheAttempt) {
  v1::ContainerMetadata container;
  container.set_name("c_1");
  container.set_attempt(2);
  v1::PodSandboxMetadata pod;
  pod.set_name("web");
  pod.set_namespace_("default");
  pod.set_uid("u");
  EXPECT_EQ(ContainerName(container, pod), "c%5f1_web_default_u_2");
}

TEST(Signals, NumbersOfTheKernel) {
  EXPECT_EQ(SignalNumber(v1::SIGNAL_RUNTIME_DEFAULT), 15);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGTERM), 15);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGKILL), 9);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGIOT), 6);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMIN), 34);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMINPLUS3), 37);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMINPLUS15), 49);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMAXMINUS14), 50);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMAXMINUS1), 63);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMAX), 64);
  // Every signal that the CRI names has a number of its own kind.
  for (int i = v1::Signal_MIN + 1; i <= v1::Signal_MAX; ++i) {
    const auto signal = static_cast<v1::Signal>(i);
    if (signal != v1::SIGNAL_SIGTERM) {
      EXPECT_NE(SignalNumber(signal), 15) << v1::Signal_Name(signal);
    }
  }
}

TEST(ExitReason, AsTheKubeletShowsIt) {
  EXPECT_STREQ(ExitReason(0, false), "Completed");
  EXPECT_STREQ(ExitReason(1, false), "Error");
  EXPECT_STREQ(ExitReason(137, true), "OOMKilled");
}

}  // namespace
}  // namespace davit::server
