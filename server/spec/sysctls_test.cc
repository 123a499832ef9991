// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

runtime::v1::PodSandboxConfig With(const std::string& key, const std::string& value) {
  runtime::v1::PodSandboxConfig sandbox;
  (*sandbox.mutable_linux()->mutable_sysctls())[key] = value;
  return sandbox;
}

runtime::v1::NamespaceOption& Namespaces(runtime::v1::PodSandboxConfig& sandbox) {
  return *sandbox.mutable_linux()->mutable_security_context()->mutable_namespace_options();
}

TEST(Sysctls, AllowsThoseOfThePodsNamespaces) {
  for (const std::string key : {"net.ipv4.ip_forward", "net/ipv4/conf/eth0.100/rp_filter",
                                "net.core.somaxconn", "kernel.shmmax", "kernel.shm_rmid_forced",
                                "kernel.msgmnb", "kernel.sem", "fs.mqueue.msg_max", "kernel/sem"}) {
    EXPECT_EQ(Text(CheckSysctls(With(key, "1"))), "OK: ") << key;
  }
  EXPECT_TRUE(CheckSysctls({}).ok());
}

TEST(Sysctls, RefusesTheHosts) {
  for (const std::string key :
       {"kernel.core_pattern", "kernel.hostname", "kernel.sem_next", "kernel.shm", "vm.swappiness",
        "fs.file-max", "net", "net.", "kernel", "fs.mqueue", "netx.y", "kernel.semx"}) {
    const absl::Status status = CheckSysctls(With(key, "1"));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << key;
    EXPECT_NE(Text(status).find(key), std::string::npos) << Text(status);
  }
}

// CVE-2022-0811: a key or value that smuggles in another setting.
TEST(Sysctls, RefusesCharactersThatDoNotBelong) {
  for (const std::string& value : std::vector<std::string>{
           std::string("1+kernel.core_pattern=|/bin/x"), std::string("1\nkernel.core_pattern"),
           std::string("1\0x", 3), std::string("a=b"), std::string(), std::string(5000, '1'),
           std::string("|/bin/sh"), std::string("$(x)")}) {
    EXPECT_EQ(CheckSysctls(With("kernel.shm_rmid_forced", value)).code(),
              absl::StatusCode::kInvalidArgument)
        << value;
  }
  for (const std::string& key :
       {std::string("net.a+kernel.b"), std::string("net.a\nb"), std::string("net.a\0b", 7),
        std::string("net.a=b"), std::string("net/../kernel/core_pattern"),
        std::string("net..kernel"), std::string("net/./x"), std::string("/net/x"),
        std::string("net.x/"), std::string(), "net." + std::string(300, 'a')}) {
    EXPECT_EQ(CheckSysctls(With(key, "1")).code(), absl::StatusCode::kInvalidArgument) << key;
  }
}

TEST(Sysctls, TakesValuesInUse) {
  for (const std::string value : {"32768 60999", "250\t32000\t32\t10", "8080,9148-9150", "-1",
                                  "bbr", "fq_codel", "2001:db8::1"}) {
    EXPECT_EQ(Text(CheckSysctls(With("net.ipv4.x", value))), "OK: ") << value;
  }
}

// CVE-2022-0532: safe sysctls applied to the host.
TEST(Sysctls, RefusesWhereTheNamespaceIsTheHosts) {
  auto network = With("net.core.somaxconn", "1");
  Namespaces(network).set_network(runtime::v1::NODE);
  EXPECT_EQ(Text(CheckSysctls(network)),
            "INVALID_ARGUMENT: sysctl net.core.somaxconn: would change the host, the pod uses its "
            "network namespace");
  auto ipc = With("kernel.shmmax", "1");
  Namespaces(ipc).set_network(runtime::v1::NODE);
  EXPECT_TRUE(CheckSysctls(ipc).ok());
  Namespaces(ipc).set_ipc(runtime::v1::NODE);
  EXPECT_EQ(CheckSysctls(ipc).code(), absl::StatusCode::kInvalidArgument);
  auto queue = With("fs.mqueue.msg_max", "1");
  Namespaces(queue).set_ipc(runtime::v1::NODE);
  EXPECT_EQ(CheckSysctls(queue).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace davit::server::spec
