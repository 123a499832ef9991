// SPDX-License-Identifier: Apache-2.0
#include "server/container/log_options.h"

#include <gtest/gtest.h>

namespace davit::server {
namespace {

class LogOptions : public testing::Test {
 protected:
  [[nodiscard]] absl::StatusOr<LogLimits> Limits() const {
    return LogLimitsOf(config_, "crun", sandbox_, container_);
  }
  config::Runtime config_;
  runtime::v1::PodSandboxConfig sandbox_;
  runtime::v1::ContainerConfig container_;
};

TEST_F(LogOptions, NoneByDefaultAndTheNodesForAll) {
  ASSERT_TRUE(Limits().ok());
  EXPECT_EQ(Limits()->rate, 0U);
  EXPECT_EQ(Limits()->max_size, 0U);
  config_.log_rate_limit = 1000;
  config_.max_log_size = 5000;
  EXPECT_EQ(Limits()->rate, 1000U);
  EXPECT_EQ(Limits()->max_size, 5000U);
}

TEST_F(LogOptions, AnAnnotationNarrowsAndWidensOnlyIfAllowed) {
  config_.log_rate_limit = 1 << 20;
  (*sandbox_.mutable_annotations())[kLogRateAnnotation] = "64Ki";
  EXPECT_EQ(Limits()->rate, 65536U);
  (*container_.mutable_annotations())[kLogRateAnnotation] = "2Mi";  // before the pod's
  EXPECT_EQ(Limits()->rate, 1U << 20U);
  (*container_.mutable_annotations())[kLogRateAnnotation] = "0";
  EXPECT_EQ(Limits()->rate, 1U << 20U) << "no limit is not less";
  config_.handlers["crun"].allowed_annotations = {"davit.io/log-*"};
  EXPECT_EQ(Limits()->rate, 0U);
  (*container_.mutable_annotations())[kLogRateAnnotation] = "2Mi";
  EXPECT_EQ(Limits()->rate, 2U << 20U);
  config_.log_rate_limit = 0;
  config_.handlers.clear();
  EXPECT_EQ(Limits()->rate, 2U << 20U) << "less than none";
}

TEST_F(LogOptions, WhatIsNoSizeIsNamed) {
  (*container_.mutable_annotations())[kLogSizeAnnotation] = "much\n";
  const auto limits = Limits();
  EXPECT_EQ(limits.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(limits.status().message()).find(kLogSizeAnnotation), std::string::npos);
}

TEST_F(LogOptions, NoNameBreaksTheJournalsFields) {
  sandbox_.mutable_metadata()->set_name("pod\nEVIL=1");
  sandbox_.mutable_metadata()->set_namespace_("ns");
  container_.mutable_metadata()->set_name("main");
  const std::string fields = JournalFields(std::string(64, 'a'), sandbox_, container_);
  EXPECT_EQ(fields.find("\nEVIL"), std::string::npos);
  EXPECT_NE(fields.find("KUBERNETES_NAMESPACE=ns\n"), std::string::npos);
  EXPECT_NE(fields.find("CONTAINER_ID=aaaaaaaaaaaa\n"), std::string::npos);
  EXPECT_EQ(fields.back(), '\n');
}

}  // namespace
}  // namespace davit::server
