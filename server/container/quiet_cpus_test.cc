// SPDX-License-Identifier: Apache-2.0
#include "server/container/quiet_cpus.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "server/spec/annotations.h"

namespace davit::server {
namespace {

class QuietCpusTest : public testing::Test {
 protected:
  QuietCpusTest() {
    config_.handlers["crun"].allowed_annotations = {
        spec::kCpuQuotaAnnotation, spec::kLoadBalancingAnnotation, spec::kIrqAnnotation};
    resources_.set_cpu_shares(2048);
    resources_.set_cpu_period(100000);
    resources_.set_cpu_quota(200000);
    resources_.set_cpuset_cpus("2-3");
  }

  void Ask(const char* key, const std::string& value = "disable") {
    (*sandbox_.mutable_annotations())[key] = value;
  }
  QuietCpus Quiet(const std::string& handler = "crun") {
    const auto quiet = QuietCpusOf(config_, handler, sandbox_, resources_);
    EXPECT_TRUE(quiet.ok()) << quiet.status();
    return quiet.value_or(QuietCpus());
  }

  config::Runtime config_;
  runtime::v1::PodSandboxConfig sandbox_;
  runtime::v1::LinuxContainerResources resources_;
};

TEST_F(QuietCpusTest, ByAnnotationWhereTheHandlerAllowsIt) {
  EXPECT_TRUE(Quiet().cpus.empty());
  Ask(spec::kIrqAnnotation);
  EXPECT_TRUE(Quiet().no_interrupts);
  EXPECT_FALSE(Quiet().no_quota);
  EXPECT_FALSE(Quiet().no_load_balancing);
  EXPECT_EQ(Quiet().cpus, (CpuSet{2, 3}));
  Ask(spec::kCpuQuotaAnnotation);
  Ask(spec::kLoadBalancingAnnotation);
  EXPECT_TRUE(Quiet().no_quota);
  EXPECT_TRUE(Quiet().no_load_balancing);
  EXPECT_TRUE(Quiet("runc").cpus.empty());
  Ask(spec::kIrqAnnotation, "enable");
  EXPECT_FALSE(Quiet().no_interrupts);
  Ask(spec::kIrqAnnotation, "housekeeping");
  const auto wrong = QuietCpusOf(config_, "crun", sandbox_, resources_);
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(Message(wrong.status()).find("irq-load-balancing.crio.io: \"housekeeping\""),
            std::string::npos)
      << wrong.status();
}

TEST_F(QuietCpusTest, OnlyOfContainersWithCpusOfTheirOwn) {
  Ask(spec::kIrqAnnotation);
  resources_.set_cpu_quota(0);
  EXPECT_TRUE(Quiet().no_interrupts) << "a kubelet that sets no quotas";
  resources_.set_cpu_quota(-1);
  EXPECT_TRUE(Quiet().no_interrupts);
  resources_.set_cpu_quota(300000);
  EXPECT_FALSE(Quiet().no_interrupts) << "it may use more than it asks for";
  resources_.set_cpu_quota(200000);
  resources_.set_cpu_shares(2000);
  EXPECT_FALSE(Quiet().no_interrupts) << "no whole CPUs";
  resources_.set_cpu_shares(2048);
  resources_.set_cpuset_cpus("0-7");
  EXPECT_FALSE(Quiet().no_interrupts) << "CPUs that it shares";
  resources_.set_cpuset_cpus("");
  EXPECT_FALSE(Quiet().no_interrupts);
}

TEST_F(QuietCpusTest, TheQuotaGoes) {
  const auto quota = [this] {
    auto resources = resources_;
    EXPECT_TRUE(ApplyQuietCpus(config_, "crun", sandbox_, resources).ok());
    return resources.cpu_quota();
  };
  EXPECT_EQ(quota(), 200000);
  Ask(spec::kCpuQuotaAnnotation);
  EXPECT_EQ(quota(), -1);
  resources_.set_cpu_quota(0);
  EXPECT_EQ(quota(), 0);
  resources_.set_cpu_quota(100000);
  EXPECT_EQ(quota(), 100000) << "one that has no CPUs of its own";
}

}  // namespace
}  // namespace davit::server
