// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "config/duration.h"

namespace davit::config {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const std::string& yaml) {
  const auto config = LoadText(yaml, "test.yaml");
  EXPECT_FALSE(config.ok()) << yaml;
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return Message(config.status());
}

TEST(Load, EmptyTextIsTheDefaults) {
  for (const char* text : {"", "# a comment only\n", "runtime:\n", "{}"}) {
    const auto config = LoadText(text, "test.yaml");
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->socket, "/run/davit/davit.sock");
    EXPECT_EQ(config->image.max_parallel_layers, 6);
  }
}

TEST(Load, ReadsEveryType) {
  const auto config = LoadText(R"(
socket: /tmp/d.sock
max_threads: 8
runtime:
  pids_limit: 100
  create_timeout: 90s
  default_sysctls: {net.ipv4.ip_unprivileged_port_start: "0"}
  default_env: [A=b, "C=d e"]
  handlers:
    fast: {path: /usr/bin/crun, allowed_annotations: [x.davit.io]}
image:
  mirrors:
    - prefix: registry.k8s.io
      endpoints: ["127.0.0.1:5000"]
network:
  default_bridge: false
)",
                               "test.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->socket, "/tmp/d.sock");
  EXPECT_EQ(config->max_threads, 8);
  EXPECT_EQ(config->runtime.pids_limit, 100);
  EXPECT_EQ(config->runtime.create_timeout, std::chrono::seconds(90));
  EXPECT_EQ(config->runtime.default_sysctls.at("net.ipv4.ip_unprivileged_port_start"), "0");
  EXPECT_THAT(config->runtime.default_env, testing::ElementsAre("A=b", "C=d e"));
  EXPECT_EQ(config->runtime.handlers.at("fast").path, "/usr/bin/crun");
  ASSERT_EQ(config->image.mirrors.size(), 1U);
  EXPECT_EQ(config->image.mirrors[0].prefix, "registry.k8s.io");
  EXPECT_FALSE(config->network.default_bridge);
}

TEST(Load, NamesFileLineColumnAndKeyOfAMistake) {
  EXPECT_EQ(ErrorOf("socket: /a\nruntime:\n  pids_limit: many\n"),
            "test.yaml:3:15: runtime.pids_limit must be a whole number, not many");
  EXPECT_THAT(ErrorOf("runtime:\n  pidslimit: 1\n"),
              HasSubstr("test.yaml:2:3: runtime.pidslimit is not a key"));
  EXPECT_THAT(ErrorOf("sockets: x\n"), HasSubstr("test.yaml:1:1: sockets is not a key"));
  EXPECT_THAT(ErrorOf("runtime: [1]\n"), HasSubstr("runtime must be a mapping"));
  EXPECT_THAT(ErrorOf("network:\n  default_bridge: yes\n"),
              HasSubstr("network.default_bridge must be true or false"));
  EXPECT_THAT(ErrorOf("image:\n  mirrors:\n    - prefx: a\n"), HasSubstr("image.mirrors[0].prefx"));
  EXPECT_THAT(ErrorOf("runtime:\n  handlers:\n    x: {paths: y}\n"),
              HasSubstr("runtime.handlers.x.paths"));
  EXPECT_THAT(ErrorOf("runtime:\n  create_timeout: soon\n"), HasSubstr("must be a duration"));
  EXPECT_THAT(ErrorOf("a: [\n"), HasSubstr("test.yaml:"));
  EXPECT_THAT(ErrorOf("max_threads: 99999999999\n"), HasSubstr("max_threads"));
}

TEST(Load, ChecksValues) {
  EXPECT_THAT(ErrorOf("socket: relative.sock\n"), HasSubstr("socket must be an absolute path"));
  EXPECT_THAT(ErrorOf("log_level: loud\n"), HasSubstr("trace, debug, info, warning, error"));
  EXPECT_THAT(ErrorOf("max_threads: 1\n"), HasSubstr("between 4 and 1024"));
  EXPECT_THAT(ErrorOf("storage:\n  root: /var/../etc\n"), HasSubstr("storage.root"));
  EXPECT_THAT(ErrorOf("runtime:\n  cgroup_manager: magic\n"), HasSubstr("cgroupfs, systemd"));
  EXPECT_THAT(ErrorOf("runtime:\n  handlers:\n    ../x: {path: crun}\n"),
              HasSubstr("handler name"));
  EXPECT_THAT(ErrorOf("runtime: {selinux_category_range: 1025}\n"),
              HasSubstr("runtime.selinux_category_range must be between 2 and 1024"));
  EXPECT_THAT(ErrorOf("network: {host_ports: maybe}\n"), HasSubstr("auto, off"));
  EXPECT_THAT(ErrorOf("network: {gc_interval: 5ms}\n"), HasSubstr("network.gc_interval"));
  EXPECT_THAT(ErrorOf("network: {builtin_plugins: [bridge, macvlan]}\n"),
              HasSubstr("network.builtin_plugins"));
  EXPECT_THAT(ErrorOf("runtime: {cdi_dirs: [cdi]}\n"), HasSubstr("runtime.cdi_dirs"));
  EXPECT_THAT(ErrorOf("runtime: {hooks_dirs: [/a/../b]}\n"), HasSubstr("runtime.hooks_dirs"));
  EXPECT_THAT(ErrorOf("runtime: {default_mounts: [/secrets]}\n"),
              HasSubstr("runtime.default_mounts: \"/secrets\""));
  EXPECT_THAT(ErrorOf("runtime: {default_mounts: [\"/a:/b:ro:/c\"]}\n"),
              HasSubstr("runtime.default_mounts"));
  EXPECT_THAT(ErrorOf("runtime: {additional_devices: [\"null:/dev/null\"]}\n"),
              HasSubstr("runtime.additional_devices"));
}

TEST(Load, Workloads) {
  const auto config = LoadText(R"(
runtime:
  handlers: {crun: {exec_cpu_affinity: first}}
  blockio_config: /etc/davit/blockio.yaml
  ignore_missing_blockio_class: true
  workloads:
    management:
      activation_annotation: example.io/management
      annotation_prefix: resources.example.io
      allowed_annotations: [davit.io/devices]
      resources: {cpushares: 100, cpulimit: 500, cpuperiod: 50000, cpuset: "0-1,4"}
)",
                               "test.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->runtime.handlers.at("crun").exec_cpu_affinity, kFirstCpu);
  EXPECT_EQ(config->runtime.blockio_config, "/etc/davit/blockio.yaml");
  EXPECT_TRUE(config->runtime.ignore_missing_blockio_class);
  const Workload& workload = config->runtime.workloads.at("management");
  EXPECT_EQ(workload.activation_annotation, "example.io/management");
  EXPECT_EQ(workload.annotation_prefix, "resources.example.io");
  EXPECT_THAT(workload.allowed_annotations, testing::ElementsAre("davit.io/devices"));
  EXPECT_EQ(workload.resources.cpushares, 100);
  EXPECT_EQ(workload.resources.cpulimit, 500);
  EXPECT_EQ(workload.resources.cpuperiod, 50000);
  EXPECT_EQ(workload.resources.cpuset, "0-1,4");
}

TEST(Load, ChecksWorkloads) {
  const auto error = [](const std::string& workload) {
    return ErrorOf("runtime: {workloads: {w: " + workload + "}}\n");
  };
  EXPECT_THAT(error("{}"), HasSubstr("runtime.workloads.w.activation_annotation is missing"));
  EXPECT_THAT(error("[]"), HasSubstr("runtime.workloads.w must be a mapping"));
  EXPECT_THAT(error("{activation: a}"), HasSubstr("runtime.workloads.w.activation is not a key"));
  EXPECT_THAT(error("{resources: {cpus: 1}}"), HasSubstr("workloads.w.resources.cpus"));
  const auto resources = [&](const std::string& text) {
    return error("{activation_annotation: a, resources: {" + text + "}}");
  };
  EXPECT_THAT(resources("cpushares: 1"), HasSubstr("w.resources.cpushares must be between 2"));
  EXPECT_THAT(resources("cpuperiod: 999"), HasSubstr("w.resources.cpuperiod must be between"));
  EXPECT_THAT(resources("cpuquota: -2"), HasSubstr("w.resources.cpuquota must be between -1"));
  EXPECT_THAT(resources("cpuquota: 10"), HasSubstr("w.resources.cpuquota must be between 1000"));
  EXPECT_THAT(resources("cpulimit: -5"), HasSubstr("w.resources.cpulimit must be between 1"));
  EXPECT_THAT(resources("cpuquota: 5000, cpulimit: 5"), HasSubstr("cpuquota and cpulimit"));
  EXPECT_THAT(resources("cpuset: 1-"), HasSubstr("w.resources.cpuset: \"1-\" is no list of CPUs"));
  EXPECT_THAT(ErrorOf("runtime: {workloads: {v: {activation_annotation: a}, "
                      "w: {activation_annotation: a}}}\n"),
              HasSubstr("that of the workload v"));
  EXPECT_THAT(ErrorOf("runtime: {handlers: {x: {exec_cpu_affinity: last}}}\n"),
              HasSubstr("exec_cpu_affinity must be one of , first"));
  EXPECT_THAT(ErrorOf("runtime: {blockio_config: blockio.yaml}\n"),
              HasSubstr("runtime.blockio_config must be an absolute path"));
  EXPECT_THAT(ErrorOf("runtime: {irqbalance_config: irqbalance}\n"),
              HasSubstr("runtime.irqbalance_config must be an absolute path"));
}

TEST(Load, AcceptsMountsAndDevicesOfTheNode) {
  const auto config = LoadText(
      "runtime:\n  default_mounts: [\"/a:/b\", \"/a:/b:rw\"]\n"
      "  additional_devices: [/dev/fuse, \"/dev/fuse:rw\", \"/dev/zero:/dev/nought:r\"]\n"
      "  mount_sources_to_reject: [/etc/hostname]\n"
      "  device_ownership_from_security_context: true\nnetwork: {host_ports: \"off\", "
      "gc_interval: 0, builtin_plugins: [bridge]}\n",
      "test.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->runtime.additional_devices.size(), 3U);
  EXPECT_EQ(config->network.host_ports, "off");
  EXPECT_EQ(config->network.builtin_plugins, std::vector<std::string>{"bridge"});
  EXPECT_TRUE(config->runtime.device_ownership_from_security_context);
}

TEST(Load, RefusesAliasBombs) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) {
      bomb += (j == 0 ? "" : ",") + below;
    }
    bomb += "]\n";
  }
  EXPECT_THAT(ErrorOf(bomb), HasSubstr("nested deeper"));
  EXPECT_THAT(ErrorOf(std::string(2 << 20, '#')), HasSubstr("larger than"));
}

TEST(Load, PrintedConfigurationLoadsBackTheSame) {
  Config config;
  config.socket = "/run/with \"quote\"/s.sock";
  config.runtime.default_env = {"A=#not a comment", "B=: colon"};
  config.runtime.default_sysctls = {{"net.core.somaxconn", "1024"}};
  config.runtime.handlers["kata"] = {
      .path = "/opt/kata", .root = "", .allowed_annotations = {"a", "b"}};
  config.runtime.workloads["quiet"] = {.activation_annotation = "example.io/quiet",
                                       .allowed_annotations = {"a"},
                                       .resources = {.cpuquota = -1, .cpuset = "0-3"}};
  config.image.mirrors = {{.prefix = "docker.io", .endpoints = {"a:1", "b:2"}}};
  config.image.progress_timeout = std::chrono::milliseconds(1500);
  const std::string yaml = ToYaml(config);
  const auto again = LoadText(yaml, "printed.yaml");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << yaml;
  EXPECT_EQ(ToYaml(*again), yaml);
  EXPECT_EQ(again->socket, config.socket);
  EXPECT_EQ(again->runtime.handlers.at("kata").allowed_annotations.size(), 2U);
  EXPECT_EQ(again->runtime.workloads.at("quiet").resources.cpuquota, -1);
  EXPECT_EQ(again->runtime.workloads.at("quiet").resources.cpuset, "0-3");
}

TEST(Load, DropInsWinByNameInOrder) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("davit-config-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory / "davit.d");
  std::ofstream(directory / "davit.yaml") << "log_level: debug\nmax_threads: 8\n";
  std::ofstream(directory / "davit.d/10.yaml") << "max_threads: 9\n";
  std::ofstream(directory / "davit.d/20.yaml") << "max_threads: 10\n";
  std::ofstream(directory / "davit.d/30.txt") << "max_threads: broken\n";
  const auto config = LoadFile(directory / "davit.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_EQ(config->max_threads, 10);
  std::ofstream(directory / "davit.d/40.yaml") << "max_threads: broken\n";
  const auto broken = LoadFile(directory / "davit.yaml");
  EXPECT_THAT(Message(broken.status()), HasSubstr("40.yaml:1:14: max_threads"));
  std::filesystem::remove_all(directory);
}

TEST(Duration, RoundTrips) {
  for (const char* text : {"0", "1ms", "60s", "4m", "3h"}) {
    const auto value = ParseDuration(text);
    ASSERT_TRUE(value.has_value()) << text;
    EXPECT_EQ(ParseDuration(FormatDuration(*value)), value);
  }
  for (const char* text : {"", "ms", "-1s", "1", "1.5s", "1d", "99999999999999999999h"}) {
    EXPECT_FALSE(ParseDuration(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace davit::config
