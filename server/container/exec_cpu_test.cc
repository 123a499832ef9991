// SPDX-License-Identifier: Apache-2.0
#include "server/container/exec_cpu.h"

#include <gtest/gtest.h>

namespace davit::server {
namespace {

TEST(ExecCpu, IsTheFirstOfTheCpusetWhereTheHandlerSaysSo) {
  config::Runtime config;
  Container::Record record;
  record.set_handler("crun");
  auto& resources = *record.mutable_config()->mutable_linux()->mutable_resources();
  resources.set_cpuset_cpus("5,2-3");
  EXPECT_EQ(ExecCpu(config, record), std::nullopt);
  config.handlers["crun"].path = "/usr/bin/crun";
  EXPECT_EQ(ExecCpu(config, record), std::nullopt);
  config.handlers["crun"].exec_cpu_affinity = config::kFirstCpu;
  EXPECT_EQ(ExecCpu(config, record), 2);
  resources.set_cpuset_cpus("");
  EXPECT_EQ(ExecCpu(config, record), std::nullopt) << "it shares the node's CPUs with others";
  resources.set_cpuset_cpus("x");
  EXPECT_EQ(ExecCpu(config, record), std::nullopt);
}

}  // namespace
}  // namespace davit::server
