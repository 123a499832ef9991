// SPDX-License-Identifier: Apache-2.0
#include "server/workloads.h"

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/cpus.h"
#include "base/status.h"

namespace davit::server {
namespace {

constexpr char kActivation[] = "example.io/management";
constexpr char kAnnotation[] = "resources.example.io/web";

class Workloads : public testing::Test {
 protected:
  Workloads() {
    config_.workloads["management"] = {.activation_annotation = kActivation,
                                       .annotation_prefix = "resources.example.io",
                                       .allowed_annotations = {"davit.io/devices"},
                                       .resources = {.cpushares = 100, .cpuset = "0-1"}};
    config_.handlers["crun"].allowed_annotations = {"davit.io/mac"};
    sandbox_.mutable_metadata()->set_name("pod");
    (*sandbox_.mutable_annotations())[kActivation] = "";
    resources_.set_cpu_shares(2048);
    resources_.set_cpu_quota(50000);
    resources_.set_cpu_period(100000);
    resources_.set_cpuset_cpus("4");
    resources_.set_memory_limit_in_bytes(1 << 20);
  }

  config::WorkloadResources& node() { return config_.workloads["management"].resources; }
  void Annotate(const std::string& text) { (*sandbox_.mutable_annotations())[kAnnotation] = text; }
  runtime::v1::LinuxContainerResources Applied() {
    auto resources = resources_;
    const absl::Status status = ApplyWorkload(config_, sandbox_, "web", resources);
    EXPECT_TRUE(status.ok()) << status;
    return resources;
  }
  std::string Error() {
    auto resources = resources_;
    const absl::Status status = ApplyWorkload(config_, sandbox_, "web", resources);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return Message(status);
  }

  config::Runtime config_;
  runtime::v1::PodSandboxConfig sandbox_;
  runtime::v1::LinuxContainerResources resources_;
};

TEST_F(Workloads, APodWithoutTheAnnotationKeepsWhatItAsksFor) {
  sandbox_.clear_annotations();
  Annotate(R"({"cpushares": 1000})");
  EXPECT_EQ(Applied().SerializeAsString(), resources_.SerializeAsString());
  EXPECT_EQ(WorkloadOf(config_, sandbox_).value(), nullptr);
}

TEST_F(Workloads, WhatTheNodeSaysGoesBeforeTheRequest) {
  const auto applied = Applied();
  EXPECT_EQ(applied.cpu_shares(), 100);
  EXPECT_EQ(applied.cpuset_cpus(), "0-1");
  EXPECT_EQ(applied.cpu_quota(), 50000) << "it says nothing of it";
  EXPECT_EQ(applied.memory_limit_in_bytes(), 1 << 20);
}

TEST_F(Workloads, WhatThePodSaysOfAContainerGoesBeforeTheNode) {
  Annotate(R"({"cpushares": 400, "cpuset": "1", "cpuquota": -1, "cpuperiod": "20000"})");
  const auto applied = Applied();
  EXPECT_EQ(applied.cpu_shares(), 400);
  EXPECT_EQ(applied.cpuset_cpus(), "1");
  EXPECT_EQ(applied.cpu_quota(), -1);
  EXPECT_EQ(applied.cpu_period(), 20000);
  auto other = resources_;
  ASSERT_TRUE(ApplyWorkload(config_, sandbox_, "other", other).ok());
  EXPECT_EQ(other.cpu_shares(), 100) << "the annotation is of another container";
  config_.workloads["management"].annotation_prefix.clear();
  EXPECT_EQ(Applied().cpu_shares(), 100) << "pods choose nothing";
}

TEST_F(Workloads, ALimitBecomesAQuota) {
  node().cpulimit = 1500;
  EXPECT_EQ(Applied().cpu_quota(), 150000);
  node().cpuperiod = 20000;
  EXPECT_EQ(Applied().cpu_quota(), 30000);
  EXPECT_EQ(Applied().cpu_period(), 20000);
  Annotate(R"({"cpulimit": "1"})");
  EXPECT_EQ(Applied().cpu_quota(), 1000) << "the least that the kernel takes";
  Annotate(R"({"cpuquota": 7000})");
  EXPECT_EQ(Applied().cpu_quota(), 7000) << "in place of the node's limit";
  Annotate(R"({"cpulimit": 9223372036854775807})");
  EXPECT_EQ(Applied().cpu_quota(), int64_t{8192} * 20000);
  node() = {};
  resources_.clear_cpu_period();
  Annotate(R"({"cpulimit": 2000})");
  EXPECT_EQ(Applied().cpu_period(), 100000);
  EXPECT_EQ(Applied().cpu_quota(), 200000);
}

TEST_F(Workloads, WhatIsWrongInAnAnnotationIsNamed) {
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {"{", "annotation resources.example.io/web"},
           {"[]", "must be an object"},
           {R"({"cpus": 1})", "\"cpus\" is no resource of a workload"},
           {R"({"cpushares": 1.5})", "cpushares 1.5: must be a whole number"},
           {R"({"cpushares": -1})", "cpushares -1: must be a whole number from 0 on"},
           {R"({"cpuquota": "much"})", "cpuquota \"much\""},
           {R"({"cpushares": 18446744073709551615})", "cpushares 18446744073709551615"},
           {R"({"cpuset": 1})", "cpuset must be a text"},
           {R"({"cpuset": "1-"})", "cpuset: \"1-\" is no list of CPUs"},
           {R"({"cpuquota": 5000, "cpulimit": 5})", "leave one out"}}) {
    Annotate(text);
    EXPECT_NE(Error().find(error), std::string::npos) << text << ": " << Error();
    EXPECT_NE(Error().find(kAnnotation), std::string::npos) << Error();
  }
}

TEST_F(Workloads, OfTwoAPodIsRefused) {
  config_.workloads["quiet"].activation_annotation = "example.io/quiet";
  (*sandbox_.mutable_annotations())["example.io/quiet"] = "yes";
  EXPECT_NE(Error().find("two workloads, management and quiet"), std::string::npos) << Error();
  EXPECT_EQ(AllowedAnnotations(config_, "crun", sandbox_),
            std::vector<std::string>{"davit.io/mac"});
}

TEST_F(Workloads, AllowsAnnotationsBesidesThoseOfTheHandler) {
  EXPECT_EQ(AllowedAnnotations(config_, "crun", sandbox_),
            (std::vector<std::string>{"davit.io/mac", "davit.io/devices"}));
  EXPECT_EQ(AllowedAnnotations(config_, "runc", sandbox_),
            std::vector<std::string>{"davit.io/devices"});
  sandbox_.clear_annotations();
  EXPECT_TRUE(AllowedAnnotations(config_, "runc", sandbox_).empty());
}

TEST_F(Workloads, KeepsAProcessOnItsCpus) {
  const CpuSet all = GetAffinity(0).value_or(CpuSet());
  node().cpuset = CpuListText({*all.begin()});
  const pid_t child = fork();
  if (child == 0) {
    const bool kept = ConfineToWorkload(config_, sandbox_, getpid()).ok() &&
                      GetAffinity(0).value_or(CpuSet()) == CpuSet{*all.begin()};
    _exit(kept ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(ConfineToWorkload(config_, sandbox_, child).ok()) << "it has ended";
  sandbox_.clear_annotations();
  EXPECT_TRUE(ConfineToWorkload(config_, sandbox_, getpid()).ok());
  EXPECT_EQ(GetAffinity(0).value_or(CpuSet()), all);
}

}  // namespace
}  // namespace davit::server
