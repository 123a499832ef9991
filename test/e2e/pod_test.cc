// SPDX-License-Identifier: Apache-2.0
//
// Pods: their life, network, names and settings.

#include <sys/utsname.h>
#include <unistd.h>

#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "base/cgroup.h"
#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "test/e2e/fixture.h"
#include "test/e2e/isolation.h"
#include "test/images/fixture_images.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

class PodTest : public E2eTest {
 protected:
  absl::Status TryRun(const v1::PodSandboxConfig& config, const std::string& handler = "") {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = config;
    request.set_runtime_handler(handler);
    return client().RunPodSandbox(request).status();
  }
};

TEST_F(PodTest, TwoContainersTalkOverThePodNetwork) {
  Pull("web");
  Pull("busybox");
  const Pod pod = RunPod("web");
  const auto status = PodStatus(pod.id);
  EXPECT_EQ(status.state(), v1::SANDBOX_READY);
  const std::string ip = status.network().ip();
  EXPECT_TRUE(ip.starts_with("10.123.0.")) << ip;
  Run(pod, Container("server", {}, "web"));
  const std::string fetch =
      "until wget -q -O - http://" + ip + ":8080/index.html; do usleep 20000; done";
  const std::string fetcher = Run(pod, ShellContainer("client", fetch));
  EXPECT_EQ(AwaitExit(fetcher).exit_code(), 0);
  EXPECT_EQ(LogText(LogPath(pod, "client")), test::kWebPage);
  // From another pod, over the bridge.
  const Pod other = RunPod("other");
  const std::string across = Run(other, ShellContainer("client", fetch));
  EXPECT_EQ(AwaitExit(across).exit_code(), 0);
  EXPECT_EQ(LogText(LogPath(other, "client")), test::kWebPage);
  EXPECT_NE(PodStatus(other.id).network().ip(), ip);

  StopPod(pod.id);
  EXPECT_EQ(PodStatus(pod.id).state(), v1::SANDBOX_NOTREADY);
  for (const auto& container : Containers()) {
    if (container.pod_sandbox_id() == pod.id) {
      EXPECT_EQ(container.state(), v1::CONTAINER_EXITED);
    }
  }
  RemovePod(pod.id);
  RemovePod(other.id);
  EXPECT_TRUE(Pods().empty());
  EXPECT_TRUE(Containers().empty());
}

TEST_F(PodTest, TellsWhatItWasGiven) {
  auto config = PodConfig("told");
  config.mutable_metadata()->set_attempt(3);
  (*config.mutable_labels())["app"] = "told";
  (*config.mutable_annotations())["note"] = "line one\nline two";
  const Pod pod = RunPod(config);
  EXPECT_EQ(pod.id.size(), kIdLength);
  EXPECT_TRUE(IsLowerHex(pod.id));
  const auto status = PodStatus(pod.id);
  EXPECT_EQ(status.id(), pod.id);
  EXPECT_EQ(status.metadata().name(), "told");
  EXPECT_EQ(status.metadata().namespace_(), "e2e");
  EXPECT_EQ(status.metadata().uid(), "uid-of-told");
  EXPECT_EQ(status.metadata().attempt(), 3U);
  EXPECT_EQ(status.labels().at("app"), "told");
  EXPECT_EQ(status.annotations().at("note"), "line one\nline two");
  EXPECT_GT(status.created_at(), 0);
  const auto listed = Pods();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].id(), pod.id);
  EXPECT_EQ(listed[0].metadata().attempt(), 3U);
  EXPECT_EQ(listed[0].labels().at("app"), "told");
  EXPECT_EQ(listed[0].annotations().at("note"), "line one\nline two");
  EXPECT_EQ(listed[0].created_at(), status.created_at());
}

TEST_F(PodTest, HostnameDnsAndShm) {
  Pull("busybox");
  auto config = PodConfig("settings");
  config.set_hostname("harbour");
  config.mutable_dns_config()->add_servers("10.96.0.10");
  config.mutable_dns_config()->add_searches("e2e.svc.cluster.local");
  config.mutable_dns_config()->add_options("ndots:5");
  const Pod pod = RunPod(config);
  const std::string id = Run(pod, ShellContainer("sleeper", "exec sleep 1000"));
  EXPECT_EQ(ShellIn(id, "hostname"), "harbour\n");
  EXPECT_EQ(ShellIn(id, "cat /etc/hostname"), "harbour\n");
  EXPECT_EQ(ShellIn(id, "cat /etc/resolv.conf"),
            "search e2e.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n");
  EXPECT_NE(ShellIn(id, "cat /etc/hosts").find(PodStatus(pod.id).network().ip() + "\tharbour"),
            std::string::npos)
      << ShellIn(id, "cat /etc/hosts");
  EXPECT_EQ(ShellIn(id, "stat -f -c %T /dev/shm"), "tmpfs\n");
  EXPECT_EQ(ShellIn(id, "stat -c %a /dev/shm"), "1777\n");
  // /dev/shm is the pod's: another container sees what is written there.
  ShellIn(id, "echo ahoy > /dev/shm/note");
  const std::string second = Run(pod, ShellContainer("second", "cat /dev/shm/note"));
  EXPECT_EQ(AwaitExit(second).exit_code(), 0);
  EXPECT_EQ(LogText(LogPath(pod, "second")), "ahoy\n");
}

TEST_F(PodTest, HostNetwork) {
  Pull("busybox");
  auto config = PodConfig("host");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
      v1::NODE);
  const Pod pod = RunPod(config);
  auto container = ShellContainer("look", "readlink /proc/self/ns/net; hostname");
  container.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
      v1::NODE);
  const std::string id = Run(pod, container);
  EXPECT_EQ(AwaitExit(id).exit_code(), 0);
  std::array<char, 64> link = {};
  ASSERT_GT(readlink("/proc/self/ns/net", link.data(), link.size() - 1), 0);
  utsname node = {};
  uname(&node);
  EXPECT_EQ(LogText(LogPath(pod, "look")), std::string(link.data()) + "\n" + node.nodename + "\n");
  EXPECT_EQ(PodStatus(pod.id).network().ip(), "");
  EXPECT_EQ(PodStatus(pod.id).linux().namespaces().options().network(), v1::NODE);
}

TEST_F(PodTest, SharedPidNamespace) {
  Pull("busybox");
  auto config = PodConfig("shared");
  auto* options = config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
  options->set_pid(v1::POD);
  const Pod pod = RunPod(config);
  const auto shared = [&](const std::string& name, const std::string& script) {
    auto container = ShellContainer(name, script);
    container.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
        v1::POD);
    return Run(pod, container);
  };
  const std::string first = shared("first", "exec sleep 4321");
  // The second sees the first, neither is PID 1, and orphans find a parent who collects them.
  const std::string second = shared("second", "exec sleep 1000");
  const std::string processes = ShellIn(second, "ps -o pid,args");
  EXPECT_NE(processes.find("sleep 4321"), std::string::npos) << processes;
  EXPECT_EQ(processes.find("1 sleep"), std::string::npos) << processes;
  ShellIn(second, "(sleep 0 & ) ; true");
  EXPECT_TRUE(Eventually(
      [&] { return ShellIn(second, "ps -o stat,args").find("Z") == std::string::npos; }));
  EXPECT_TRUE(StopContainer(first, 0).ok());
  EXPECT_EQ(Status(second).state(), v1::CONTAINER_RUNNING);
  EXPECT_EQ(PodStatus(pod.id).linux().namespaces().options().pid(), v1::POD);
}

TEST_F(PodTest, SharedPidNamespaceSurvivesRestartOfTheDaemon) {
  Pull("busybox");
  auto config = PodConfig("shared");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::POD);
  const Pod pod = RunPod(config);
  RestartDaemon();
  EXPECT_EQ(PodStatus(pod.id).state(), v1::SANDBOX_READY);
  auto container = ShellContainer("late", "ps -o pid,args");
  container.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      v1::POD);
  EXPECT_EQ(AwaitExit(Run(pod, container)).exit_code(), 0);
  EXPECT_EQ(LogText(LogPath(pod, "late")).find("1 ps"), std::string::npos);
}

TEST_F(PodTest, Sysctls) {
  Pull("busybox");
  auto config = PodConfig("sysctl");
  auto& sysctls = *config.mutable_linux()->mutable_sysctls();
  sysctls["net.ipv4.ip_unprivileged_port_start"] = "80";
  sysctls["kernel.shm_rmid_forced"] = "1";
  const Pod pod = RunPod(config);
  const std::string id = Run(pod, ShellContainer("look", "exec sleep 1000"));
  EXPECT_EQ(ShellIn(id, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "80\n");
  EXPECT_EQ(ShellIn(id, "cat /proc/sys/kernel/shm_rmid_forced"), "1\n");
}

TEST_F(PodTest, RefusesSysctlsThatAreNotThePods) {
  for (const char* name :
       {"kernel.panic", "vm.swappiness", "fs.file-max", "net.ipv4.ip_forward/../x"}) {
    auto config = PodConfig("refused");
    (*config.mutable_linux()->mutable_sysctls())[name] = "1";
    ExpectError(TryRun(config), Code::kInvalidArgument, name);
  }
  auto host = PodConfig("host");
  host.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
      v1::NODE);
  (*host.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "1";
  ExpectError(TryRun(host), Code::kInvalidArgument, "net.ipv4.ip_forward");
  auto unknown = PodConfig("unknown");
  (*unknown.mutable_linux()->mutable_sysctls())["net.no.such"] = "1";
  ExpectError(TryRun(unknown), Code::kInvalidArgument, "net.no.such");
  EXPECT_TRUE(Pods().empty());
}

TEST_F(PodTest, CgroupParent) {
  Pull("busybox");
  const std::string parent =
      daemon().ParentCgroup(BySystemd() ? "pod_of_test" : "kubepods/burstable/pod-of-test");
  auto config = PodConfig("parent");
  config.mutable_linux()->set_cgroup_parent(parent);
  const Pod pod = RunPod(config);
  const std::string id = Run(pod, ShellContainer("sleeper", "exec sleep 1000"));
  const CgroupFs cgroups = Must(CgroupFs::Detect());
  EXPECT_TRUE(cgroups.Exists(parent));
  EXPECT_FALSE(Must(cgroups.Pids(parent)).empty());
  EXPECT_TRUE(StopContainer(id, 0).ok());
  RemovePod(pod.id);
  EXPECT_FALSE(cgroups.Exists(parent));
  // The kubelet made what is above: here the runtime did, and nobody else will remove it.
  EXPECT_TRUE(BySystemd() || cgroups.Remove(daemon().cgroup() + "/kubepods").ok());
}

TEST_F(PodTest, Filters) {
  auto red = PodConfig("red");
  (*red.mutable_labels())["colour"] = "red";
  (*red.mutable_labels())["tier"] = "front";
  auto blue = PodConfig("blue");
  (*blue.mutable_labels())["colour"] = "blue";
  (*blue.mutable_labels())["tier"] = "front";
  const Pod first = RunPod(red);
  const Pod second = RunPod(blue);
  StopPod(second.id);

  v1::PodSandboxFilter by_label;
  (*by_label.mutable_label_selector())["colour"] = "red";
  ASSERT_EQ(Pods(by_label).size(), 1U);
  EXPECT_EQ(Pods(by_label)[0].id(), first.id);
  v1::PodSandboxFilter by_both = by_label;
  (*by_both.mutable_label_selector())["tier"] = "back";
  EXPECT_TRUE(Pods(by_both).empty());
  v1::PodSandboxFilter by_state;
  by_state.mutable_state()->set_state(v1::SANDBOX_NOTREADY);
  ASSERT_EQ(Pods(by_state).size(), 1U);
  EXPECT_EQ(Pods(by_state)[0].id(), second.id);
  v1::PodSandboxFilter by_id;
  by_id.set_id(first.id.substr(0, 13));
  ASSERT_EQ(Pods(by_id).size(), 1U);
  EXPECT_EQ(Pods(by_id)[0].id(), first.id);
  by_id.set_id("no such id");
  EXPECT_TRUE(Pods(by_id).empty());
  EXPECT_EQ(Pods().size(), 2U);
}

TEST_F(PodTest, IdsByPrefixUnknownAndAmbiguous) {
  const Pod pod = RunPod("first");
  EXPECT_EQ(PodStatus(pod.id.substr(0, 12)).id(), pod.id);
  // Seventeen pods have at least two whose IDs begin with the same digit.
  std::map<char, int> digits = {{pod.id[0], 1}};
  std::string ambiguous;
  for (int i = 0; i < 17 && ambiguous.empty(); ++i) {
    auto config = PodConfig("more" + std::to_string(i));
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
    const Pod more = RunPod(config);
    if (++digits[more.id[0]] == 2) {
      ambiguous = more.id.substr(0, 1);
    }
  }
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(ambiguous);
  ExpectError(client().PodSandboxStatus(request).status(), Code::kInvalidArgument, "ambiguous");
  request.set_pod_sandbox_id(std::string(64, '0'));
  ExpectError(client().PodSandboxStatus(request).status(), Code::kNotFound, "does not exist");
  request.clear_pod_sandbox_id();
  ExpectError(client().PodSandboxStatus(request).status(), Code::kInvalidArgument, "missing");
}

TEST_F(PodTest, StopAndRemoveOfTheUnknownAndOfTheStoppedSucceed) {
  v1::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(std::string(64, 'a'));
  EXPECT_TRUE(client().StopPodSandbox(stop).ok());
  v1::RemovePodSandboxRequest remove;
  remove.set_pod_sandbox_id(std::string(64, 'a'));
  EXPECT_TRUE(client().RemovePodSandbox(remove).ok());
  const Pod pod = RunPod("twice");
  StopPod(pod.id);
  StopPod(pod.id);
  RemovePod(pod.id);
  RemovePod(pod.id);
}

TEST_F(PodTest, SameMetadataIsTheSamePod) {
  const Pod pod = RunPod("once");
  EXPECT_EQ(RunPod("once").id, pod.id);
  auto next = PodConfig("once");
  next.mutable_metadata()->set_attempt(1);
  const Pod second = RunPod(next);
  EXPECT_NE(second.id, pod.id);
  EXPECT_EQ(Pods().size(), 2U);
  RemovePod(pod.id);
  EXPECT_NE(RunPod("once").id, pod.id) << "a name that was removed is free";
}

TEST_F(PodTest, EightAtOnceMakeOne) {
  const auto config = PodConfig("eight");
  std::array<absl::StatusOr<v1::RunPodSandboxResponse>, 8> results;
  std::vector<std::thread> callers;
  for (auto& result : results) {
    callers.emplace_back([&] {
      v1::RunPodSandboxRequest request;
      *request.mutable_config() = config;
      result = client().RunPodSandbox(request);
    });
  }
  for (auto& caller : callers) {
    caller.join();
  }
  std::set<std::string> ids;
  for (const auto& result : results) {
    ids.insert(Must(result).pod_sandbox_id());
  }
  EXPECT_EQ(ids.size(), 1U);
  EXPECT_EQ(Pods().size(), 1U);
}

TEST_F(PodTest, BadMetadataIsRefused) {
  ExpectError(TryRun({}), Code::kInvalidArgument, "metadata");
  auto config = PodConfig("bad");
  config.mutable_metadata()->clear_name();
  ExpectError(TryRun(config), Code::kInvalidArgument, "metadata.name");
  config = PodConfig("bad");
  config.mutable_metadata()->clear_uid();
  ExpectError(TryRun(config), Code::kInvalidArgument, "metadata.uid");
  config = PodConfig("bad");
  config.mutable_metadata()->set_namespace_("../x");
  ExpectError(TryRun(config), Code::kInvalidArgument, "metadata.namespace");
  config = PodConfig("bad");
  config.set_log_directory("/var/log/../../etc");
  ExpectError(TryRun(config), Code::kInvalidArgument, "log_directory");
  config = PodConfig("bad");
  config.mutable_dns_config()->add_servers("10.0.0.1\nnameserver 6.6.6.6");
  ExpectError(TryRun(config), Code::kInvalidArgument, "dns_config.servers");
  config = PodConfig("bad");
  config.mutable_linux()->set_cgroup_parent("/../../x");
  ExpectError(TryRun(config), Code::kInvalidArgument, "cgroup");
  // Of the other manager: the kubelet and davit are not of one mind.
  config.mutable_linux()->set_cgroup_parent(BySystemd() ? "/kubepods/pod1"
                                                        : "/kubepods-pod1.slice");
  ExpectError(TryRun(config), Code::kInvalidArgument, "cgroupDriver");
  EXPECT_TRUE(Pods().empty());
}

TEST_F(PodTest, UnknownRuntimeHandlerIsNamed) {
  ExpectError(TryRun(PodConfig("bad"), "gvisor"), Code::kNotFound, "gvisor");
}

}  // namespace
}  // namespace davit::e2e
