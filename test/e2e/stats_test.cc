// SPDX-License-Identifier: Apache-2.0
//
// Statistics, metrics, events, lists in pieces, resources of whole pods.

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/cgroup.h"
#include "base/text.h"
#include "base/time.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

constexpr int64_t kMiB = 1 << 20;

class StatsTest : public E2eTest {
 protected:
  void SetUp() override {
    E2eTest::SetUp();
    if (!IsSkipped()) {
      Pull("busybox");
      pod_ = RunPod("pod");
    }
  }

  v1::PodSandboxStats PodStats(const std::string& id) {
    v1::PodSandboxStatsRequest request;
    request.set_pod_sandbox_id(id);
    return Must(client().PodSandboxStats(request)).stats();
  }

  Pod pod_;
};

TEST_F(StatsTest, OfAPodCountItsContainersAndItsNetwork) {
  const std::string id =
      Run(pod_,
          ShellContainer("busy", "dd if=/dev/zero of=/data bs=1k count=64 2>/dev/null; sleep 600"));
  ShellIn(id, "true");
  const v1::PodSandboxStats stats = PodStats(pod_.id);
  EXPECT_EQ(stats.attributes().id(), pod_.id);
  EXPECT_EQ(stats.attributes().metadata().name(), "pod");
  EXPECT_GT(stats.linux().cpu().usage_core_nano_seconds().value(), 0U);
  EXPECT_GT(stats.linux().memory().working_set_bytes().value(), 0U);
  EXPECT_GE(stats.linux().process().process_count().value(), 1U);
  EXPECT_EQ(stats.linux().network().default_interface().name(), "eth0");
  EXPECT_GT(stats.linux().network().timestamp(), 0);
  ASSERT_EQ(stats.linux().containers_size(), 1);
  EXPECT_EQ(stats.linux().containers(0).attributes().id(), id);
  EXPECT_TRUE(Eventually([&] {
    const auto now = PodStats(pod_.id);
    return now.linux().containers(0).writable_layer().used_bytes().value() >= 64 * 1024;
  }));
  v1::PodSandboxStatsRequest unknown;
  unknown.set_pod_sandbox_id("0123");
  ExpectError(client().PodSandboxStats(unknown).status(), Code::kNotFound, "0123");
}

TEST_F(StatsTest, OfPodsFollowTheFilter) {
  auto config = PodConfig("other");
  (*config.mutable_labels())["app"] = "other";
  const Pod other = RunPod(config);
  EXPECT_EQ(Must(client().ListPodSandboxStats()).stats_size(), 2);
  v1::ListPodSandboxStatsRequest request;
  (*request.mutable_filter()->mutable_label_selector())["app"] = "other";
  const auto stats = Must(client().ListPodSandboxStats(request));
  ASSERT_EQ(stats.stats_size(), 1);
  EXPECT_EQ(stats.stats(0).attributes().id(), other.id);
  StopPod(other.id);
  EXPECT_EQ(Must(client().ListPodSandboxStats(request)).stats_size(), 0);
}

TEST_F(StatsTest, RatesComeWithTheSecondRequest) {
  const std::string id = Run(pod_, ShellContainer("spin", "while true; do true; done"));
  v1::ContainerStatsRequest request;
  request.set_container_id(id);
  EXPECT_FALSE(Must(client().ContainerStats(request)).stats().cpu().has_usage_nano_cores());
  EXPECT_TRUE(Eventually([&] {
    return Must(client().ContainerStats(request)).stats().cpu().usage_nano_cores().value() > 0;
  }));
}

TEST_F(StatsTest, MetricsCarryTheLabelsOfTheirDescriptors) {
  auto config = ShellContainer("web", "sleep 600");
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64 * kMiB);
  const std::string id = Run(pod_, config);
  std::map<std::string, int> descriptors;
  const auto listed = Must(client().ListMetricDescriptors());
  for (const auto& each : listed.descriptors()) {
    EXPECT_FALSE(each.help().empty()) << each.name();
    descriptors[each.name()] = each.label_keys_size();
  }
  std::set<std::string> seen;
  EXPECT_TRUE(Eventually([&] {
    seen.clear();
    const auto response = Must(client().ListPodSandboxMetrics());
    if (response.pod_metrics_size() != 1 || response.pod_metrics(0).container_metrics_size() != 1) {
      return false;
    }
    const auto& pod = response.pod_metrics(0);
    EXPECT_EQ(pod.pod_sandbox_id(), pod_.id);
    EXPECT_EQ(pod.container_metrics(0).container_id(), id);
    for (const auto* list : {&pod.metrics(), &pod.container_metrics(0).metrics()}) {
      for (const auto& metric : *list) {
        EXPECT_EQ(metric.label_values_size(), descriptors[metric.name()]) << metric.name();
        EXPECT_GT(metric.timestamp(), 0);
        if (metric.name() == "container_spec_memory_limit_bytes") {
          EXPECT_EQ(metric.value().value(), static_cast<uint64_t>(64 * kMiB));
        }
        seen.insert(metric.name());
      }
    }
    return seen.contains("container_fs_usage_bytes");
  }));
  for (const char* name :
       {"container_cpu_usage_seconds_total", "container_memory_working_set_bytes",
        "container_network_receive_bytes_total", "container_processes", "container_sockets",
        "container_start_time_seconds", "container_fs_limit_bytes", "container_oom_events_total"}) {
    EXPECT_TRUE(seen.contains(name)) << name;
  }
}

TEST_F(StatsTest, EventsTellTheLifeOfAContainer) {
  EventStream events = client().Events();
  const std::string id = Run(pod_, ShellContainer("short", "exit 3"));
  AwaitExit(id);
  RemoveContainer(id);
  const v1::ContainerEventType expected[] = {
      v1::CONTAINER_CREATED_EVENT, v1::CONTAINER_STARTED_EVENT, v1::CONTAINER_STOPPED_EVENT,
      v1::CONTAINER_DELETED_EVENT};
  for (const auto type : expected) {
    const auto event = Must(events.Next());
    EXPECT_EQ(event.container_id(), id);
    EXPECT_EQ(event.container_event_type(), type);
    EXPECT_GT(event.created_at(), 0);
    EXPECT_EQ(event.pod_sandbox_status().id(), pod_.id);
    EXPECT_EQ(event.pod_sandbox_status().state(), v1::SANDBOX_READY);
    if (type == v1::CONTAINER_STOPPED_EVENT) {
      ASSERT_EQ(event.containers_statuses_size(), 1);
      EXPECT_EQ(event.containers_statuses(0).exit_code(), 3);
    }
    if (type == v1::CONTAINER_DELETED_EVENT) {
      EXPECT_EQ(event.containers_statuses_size(), 0);
    }
  }
}

TEST_F(StatsTest, EventsOfPodsReachEveryListenerAndANewOneAtOnce) {
  EventStream first = client().Events();
  { const EventStream gone = client().Events(); }
  EventStream second = client().Events();
  const Pod other = RunPod("other");
  StopPod(other.id);
  RemovePod(other.id);
  for (EventStream* events : {&first, &second}) {
    for (const auto type : {v1::CONTAINER_CREATED_EVENT, v1::CONTAINER_STARTED_EVENT,
                            v1::CONTAINER_STOPPED_EVENT, v1::CONTAINER_DELETED_EVENT}) {
      const auto event = Must(events->Next());
      EXPECT_EQ(event.container_id(), other.id);
      EXPECT_EQ(event.container_event_type(), type);
      EXPECT_EQ(event.pod_sandbox_status().metadata().name(), "other");
    }
  }
}

TEST_F(StatsTest, ListsComeInPiecesToo) {
  const std::string id = Run(pod_, ShellContainer("c", "sleep 600"));
  size_t pods = 0;
  for (const auto& piece : Must(client().StreamPodSandboxes())) {
    pods += static_cast<size_t>(piece.pod_sandboxes_size());
  }
  EXPECT_EQ(pods, Pods().size());
  v1::StreamContainersRequest request;
  request.mutable_filter()->set_pod_sandbox_id(pod_.id);
  const auto containers = Must(client().StreamContainers(request));
  ASSERT_EQ(containers.size(), 1U);
  EXPECT_EQ(containers[0].containers(0).id(), id);
  request.mutable_filter()->set_pod_sandbox_id("ffff");
  EXPECT_TRUE(Must(client().StreamContainers(request)).empty());
  EXPECT_EQ(Must(client().StreamContainerStats()).at(0).container_stats(0).attributes().id(), id);
  EXPECT_EQ(Must(client().StreamPodSandboxStats()).at(0).pod_sandbox_stats(0).attributes().id(),
            pod_.id);
  EXPECT_EQ(Must(client().StreamPodSandboxMetrics()).at(0).pod_sandbox_metrics(0).pod_sandbox_id(),
            pod_.id);
  EXPECT_EQ(Must(client().StreamImages()).at(0).images_size(),
            Must(client().ListImages()).images_size());
}

TEST_F(StatsTest, StatusOfAPodHasThoseOfItsContainers) {
  const int64_t before = NowNanos();
  const std::string id = Run(pod_, ShellContainer("c", "sleep 600"));
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod_.id);
  const auto status = Must(client().PodSandboxStatus(request));
  EXPECT_GE(status.timestamp(), before);
  ASSERT_EQ(status.containers_statuses_size(), 1);
  EXPECT_EQ(status.containers_statuses(0).id(), id);
  EXPECT_EQ(status.containers_statuses(0).state(), v1::CONTAINER_RUNNING);
}

TEST_F(StatsTest, ResourcesOfAPodAreWrittenToItsCgroup) {
  v1::UpdatePodSandboxResourcesRequest request;
  request.set_pod_sandbox_id(pod_.id);
  request.mutable_resources()->set_cpu_shares(512);
  request.mutable_resources()->set_memory_limit_in_bytes(200 * kMiB);
  request.mutable_overhead()->set_memory_limit_in_bytes(8 * kMiB);
  Must(client().UpdatePodSandboxResources(request).status());
  const CgroupFs cgroups = Must(CgroupFs::Detect());
  const bool v2 = cgroups.mode() == CgroupMode::kV2;
  const std::string cgroup = daemon().PodCgroup(pod_.id);
  const auto value = [&](const char* controller, const char* v1_file, const char* v2_file) {
    return std::string(Trim(Must(cgroups.Read(controller, cgroup, v2 ? v2_file : v1_file))));
  };
  EXPECT_EQ(value("memory", "memory.limit_in_bytes", "memory.max"), std::to_string(208 * kMiB));
  EXPECT_EQ(value("cpu", "cpu.shares", "cpu.weight"), v2 ? "20" : "512");
  v1::PodSandboxStatusRequest verbose;
  verbose.set_pod_sandbox_id(pod_.id);
  verbose.set_verbose(true);
  const std::string info = Must(client().PodSandboxStatus(verbose)).info().at("info");
  EXPECT_NE(info.find("\"memoryLimitInBytes\":209715200"), std::string::npos) << info;
  request.mutable_resources()->set_cpu_shares(-1);
  ExpectError(client().UpdatePodSandboxResources(request).status(), Code::kInvalidArgument,
              "cpu_shares");
  StopPod(pod_.id);
  ExpectError(client().UpdatePodSandboxResources(request).status(), Code::kFailedPrecondition,
              "not ready");
}

TEST_F(StatsTest, CheckpointsAreRefusedByName) {
  const std::string id = Run(pod_, ShellContainer("c", "sleep 600"));
  v1::CheckpointContainerRequest request;
  request.set_container_id(id);
  ExpectError(client().CheckpointContainer(request).status(), Code::kUnimplemented,
              "CheckpointContainer");
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  v1::CheckpointPodRequest pod;
  pod.set_pod_sandbox_id(pod_.id);
  ExpectError(client().CheckpointPod(pod).status(), Code::kUnimplemented, "CheckpointPod");
}

}  // namespace
}  // namespace davit::e2e
