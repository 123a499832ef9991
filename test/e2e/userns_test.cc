// SPDX-License-Identifier: Apache-2.0
//
// Pods in user namespaces of their own, and ID-mapped volumes, with each OCI runtime that is here.

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <tuple>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/mount.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"
#include "test/images/fixture_images.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

constexpr uint32_t kRange = 65536;
constexpr char kSleep[] = "exec sleep 1000000";

void Map(google::protobuf::RepeatedPtrField<v1::IDMapping>& list, uint32_t outside,
         uint32_t length = kRange) {
  list.Clear();
  auto& range = *list.Add();
  range.set_host_id(outside);
  range.set_length(length);
}

v1::NamespaceOption& Options(v1::PodSandboxConfig& config) {
  return *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
}

std::string OwnerOf(const std::string& path) {
  struct stat st = {};
  return lstat(path.c_str(), &st) == 0 ? fmt::format("{}:{}", st.st_uid, st.st_gid) : "(missing)";
}

class UserNamespaces : public E2eTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    E2eTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    const auto status = Must(client().Status({}));
    const auto& handlers = status.runtime_handlers();
    const auto handler = std::find_if(handlers.begin(), handlers.end(),
                                      [](const auto& each) { return each.name() == GetParam(); });
    if (handler == handlers.end()) {
      GTEST_SKIP() << GetParam() << " is not here, or cannot run here";
    }
    if (!handler->features().user_namespaces()) {
      GTEST_SKIP() << GetParam() << ", or this kernel, cannot run pods in user namespaces";
    }
    Pull("busybox");
  }

  // Root of the pod is the host's user `first` and group `first` + 1.
  v1::PodSandboxConfig MappedConfig(const std::string& name, uint32_t first = 200000) {
    auto config = PodConfig(name);
    auto& user = *Options(config).mutable_userns_options();
    user.set_mode(v1::POD);
    Map(*user.mutable_uids(), first);
    Map(*user.mutable_gids(), first + 1);
    return config;
  }
  Pod RunMapped(const v1::PodSandboxConfig& config) {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = config;
    request.set_runtime_handler(GetParam());
    return {.id = Must(client().RunPodSandbox(request), "RunPodSandbox").pod_sandbox_id(),
            .config = config};
  }
  Pod RunMapped(const std::string& name, uint32_t first = 200000) {
    return RunMapped(MappedConfig(name, first));
  }
  // As the kubelet asks for it: the container repeats what the pod has.
  v1::ContainerConfig In(const Pod& pod, const std::string& name,
                         const std::string& script = kSleep) {
    auto config = ShellContainer(name, script);
    *config.mutable_linux()->mutable_security_context()->mutable_namespace_options() =
        pod.config.linux().security_context().namespace_options();
    return config;
  }
  v1::Mount& AddMapped(const Pod& pod, v1::ContainerConfig& config, const std::string& host,
                       const std::string& inside) {
    const auto& user = pod.config.linux().security_context().namespace_options().userns_options();
    auto& mount = *config.add_mounts();
    mount.set_host_path(host);
    mount.set_container_path(inside);
    *mount.mutable_uidmappings() = user.uids();
    *mount.mutable_gidmappings() = user.gids();
    return mount;
  }
  int PidOf(const std::string& id) {
    v1::ContainerStatusRequest request;
    request.set_container_id(id);
    request.set_verbose(true);
    return nlohmann::json::parse(Must(client().ContainerStatus(request)).info().at("info"))["pid"];
  }
  // What the host sees of a process: "Uid" or "Gid".
  std::string HostIdOf(const std::string& id, const std::string& key) {
    for (const auto& line :
         Split(Must(ReadFile(fmt::format("/proc/{}/status", PidOf(id)))), '\n')) {
      if (line.starts_with(key + ":")) {
        return Words(line)[1];
      }
    }
    return "";
  }
  absl::Status CreateError(const Pod& pod, const v1::ContainerConfig& config) {
    return client().CreateContainer(CreateRequest(pod, config)).status();
  }
  std::string MakeVolume(const std::string& name) {
    const std::string path = daemon().dir() + "/" + name;
    Must(MakeDirs(path, 0750));
    Must(WriteFileAtomic(path + "/roots", "of root\n", 0600));
    Must(WriteFileAtomic(path + "/users", "of a user\n", 0600));
    EXPECT_EQ(chown((path + "/users").c_str(), 1000, 1000), 0);
    return path;
  }
};

TEST_P(UserNamespaces, RootOfThePodIsNobodyOnTheHost) {
  const Pod pod = RunMapped("pod");
  const std::string id = Run(
      pod, In(pod, "main", "cat /proc/self/uid_map /proc/self/gid_map; id -u; exec sleep 1000"));
  AwaitLog(LogPath(pod, "main"), "F 0\n");
  EXPECT_EQ(Words(LogText(LogPath(pod, "main"))),
            (std::vector<std::string>{"0", "200000", "65536", "0", "200001", "65536", "0"}));
  EXPECT_EQ(HostIdOf(id, "Uid"), "200000");
  EXPECT_EQ(HostIdOf(id, "Gid"), "200001");
  EXPECT_EQ(ShellIn(id,
                    "stat -c %u:%g / /bin/busybox /etc/passwd /etc/mtab /etc/hosts "
                    "/etc/hostname /etc/resolv.conf /dev/shm | sort -u"),
            "0:0\n")
      << "the image and what the pod gets belong to root";
  ShellIn(id,
          "echo x > /made; mkdir -p /a/b; chown 7:8 /a/b; echo y > /dev/shm/y; echo > /dev/null");
  const std::string root = daemon().run() + "/containers/" + id + "/rootfs";
  EXPECT_EQ(OwnerOf(root + "/made"), "200000:200001");
  EXPECT_EQ(OwnerOf(root + "/a/b"), "200007:200009");
  EXPECT_EQ(OwnerOf(root + "/bin/busybox"), "200000:200001");
  EXPECT_EQ(ShellIn(id, "cat /etc/hostname; hostname; cat /etc/hosts | grep -c pod"),
            "pod\npod\n1\n");
  EXPECT_EQ(PodStatus(pod.id).linux().namespaces().options().userns_options().SerializeAsString(),
            pod.config.linux()
                .security_context()
                .namespace_options()
                .userns_options()
                .SerializeAsString());
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(UserNamespaces, NamespacesOfThePodBelongToIt) {
  auto config = MappedConfig("pod");
  auto& sysctls = *config.mutable_linux()->mutable_sysctls();
  sysctls["net.ipv4.ip_unprivileged_port_start"] = "80";
  sysctls["net.ipv4.ping_group_range"] = "0 2147483647";
  sysctls["kernel.shm_rmid_forced"] = "1";
  sysctls["fs.mqueue.msg_max"] = "20";
  const Pod pod = RunMapped(config);
  auto container = In(pod, "main");
  container.mutable_linux()
      ->mutable_security_context()
      ->mutable_capabilities()
      ->add_add_capabilities("NET_ADMIN");
  const std::string id = Run(pod, container);
  EXPECT_EQ(ShellIn(id,
                    "cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start "
                    "kernel/shm_rmid_forced fs/mqueue/msg_max net/ipv4/ping_group_range"),
            "80\n1\n20\n0\t65535\n");
  EXPECT_EQ(ShellIn(id, "ip link set dev lo mtu 9000 && cat /sys/class/net/lo/mtu"), "9000\n")
      << "the network is the pod's own to administer";
  EXPECT_EQ(ShellIn(id, "ls /sys/class/net | tr '\\n' ' '"), "eth0 lo ");
  EXPECT_NE(PodStatus(pod.id).network().ip(), "");
  EXPECT_EQ(ShellIn(id, "hostname changed 2>/dev/null || echo refused"), "refused\n")
      << "without the capability for it";
}

TEST_P(UserNamespaces, SharedPidNamespace) {
  auto config = MappedConfig("pod");
  Options(config).set_pid(v1::POD);
  const Pod pod = RunMapped(config);
  const std::string first = Run(pod, In(pod, "first", "exec sleep 4321"));
  const std::string second = Run(pod, In(pod, "second"));
  const std::string processes = ShellIn(second, "ps -o pid,args");
  EXPECT_NE(processes.find("sleep 4321"), std::string::npos) << processes;
  EXPECT_EQ(processes.find("1 sleep"), std::string::npos) << processes;
  ShellIn(second, "(sleep 0 & ) ; true");
  EXPECT_TRUE(Eventually(
      [&] { return ShellIn(second, "ps -o stat,args").find("Z") == std::string::npos; }));
  RestartDaemon();
  const std::string late = Run(pod, In(pod, "late"));
  EXPECT_NE(ShellIn(late, "ps -o pid,args").find("sleep 4321"), std::string::npos);
  auto target = In(pod, "debug");
  auto& options = *target.mutable_linux()->mutable_security_context()->mutable_namespace_options();
  options.set_pid(v1::TARGET);
  options.set_target_id(first);
  EXPECT_NE(ShellIn(Run(pod, target), "ps -o args").find("sleep 4321"), std::string::npos);
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(UserNamespaces, ASmallRange) {
  auto config = MappedConfig("pod");
  Options(config).set_pid(v1::POD);
  auto& user = *Options(config).mutable_userns_options();
  Map(*user.mutable_uids(), 300000, 1);
  Map(*user.mutable_gids(), 300000, 1);
  const Pod pod = RunMapped(config);
  auto container = In(pod, "main");
  // Of the image's groups, which root has, others would not be mapped.
  container.mutable_linux()->mutable_security_context()->set_supplemental_groups_policy(
      v1::SupplementalGroupsPolicy::Strict);
  const std::string id = Run(pod, container);
  EXPECT_EQ(Words(ShellIn(id, "cat /proc/self/uid_map")),
            (std::vector<std::string>{"0", "300000", "1"}));
  auto other = In(pod, "other");
  other.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(1);
  ExpectError(CreateError(pod, other), Code::kInvalidArgument, "user 1 has no ID on the host");
}

TEST_P(UserNamespaces, HostNetwork) {
  auto config = MappedConfig("pod");
  Options(config).set_network(v1::NODE);
  const Pod pod = RunMapped(config);
  const std::string id = Run(pod, In(pod, "main"));
  std::array<char, 64> link = {};
  ASSERT_GT(readlink("/proc/self/ns/net", link.data(), link.size() - 1), 0);
  EXPECT_EQ(ShellIn(id, "readlink /proc/self/ns/net"), std::string(link.data()) + "\n");
  EXPECT_EQ(ShellIn(id, "test -d /sys/class/net/lo && echo there"), "there\n");
  EXPECT_EQ(ShellIn(id, "awk '$2 == \"/sys\" {print substr($4, 1, 2)}' /proc/mounts | sort -u"),
            "ro\n");
  EXPECT_EQ(ShellIn(id,
                    "awk '$2 ~ \"^/sys/\" && $2 !~ \"^/sys/fs/cgroup\" && $4 !~ \"^ro\"' "
                    "/proc/mounts"),
            "");
  EXPECT_EQ(HostIdOf(id, "Uid"), "200000");
  RestartDaemon();
  EXPECT_EQ(ShellIn(id, "id -u"), "0\n");
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(UserNamespaces, TwoPodsShareAnImage) {
  const Pod one = RunMapped("one", 200000);
  const Pod two = RunMapped("two", 400000);
  const Pod plain = RunPod("plain");
  const std::string first = Run(one, In(one, "main"));
  const std::string second = Run(two, In(two, "main"));
  const std::string third = Run(plain, ShellContainer("main", kSleep));
  for (const auto& id : {first, second, third}) {
    EXPECT_EQ(ShellIn(id, "stat -c %u:%g /bin/busybox; echo $(id -u)"), "0:0\n0\n");
    ShellIn(id, "echo x > /made");
  }
  EXPECT_EQ(HostIdOf(first, "Uid"), "200000");
  EXPECT_EQ(HostIdOf(second, "Uid"), "400000");
  EXPECT_EQ(HostIdOf(third, "Uid"), "0");
  const std::string containers = daemon().run() + "/containers/";
  EXPECT_EQ(OwnerOf(containers + second + "/rootfs/made"), "400000:400001");
  EXPECT_EQ(OwnerOf(containers + third + "/rootfs/made"), "0:0");
}

TEST_P(UserNamespaces, Volumes) {
  const Pod pod = RunMapped("pod");
  const std::string volume = MakeVolume("volume");
  Must(MakeDirs(volume + "/below"));
  ASSERT_EQ(mount("below", (volume + "/below").c_str(), "tmpfs", MS_NOSUID | MS_NODEV, ""), 0);
  Must(WriteFileAtomic(volume + "/below/deep", "x", 0600));
  auto config = In(pod, "main");
  AddMapped(pod, config, volume, "/mapped");
  AddMapped(pod, config, volume, "/readonly").set_readonly(true);
  AddMapped(pod, config, volume + "/users", "/file");
  auto& plain = *config.add_mounts();
  plain.set_host_path(volume);
  plain.set_container_path("/plain");
  plain.set_readonly(true);
  const std::string id = Run(pod, config);
  EXPECT_EQ(ShellIn(id, "cd /mapped; stat -c %u:%g . roots users /file; cat roots"),
            "0:0\n0:0\n1000:1000\n1000:1000\nof root\n");
  // crun 1.8 binds in user namespaces without what is mounted below.
  const std::string deep = ShellIn(id, "stat -c %u:%g /mapped/below/* 2>/dev/null || true");
  EXPECT_TRUE(deep == "0:0\n" || (deep.empty() && std::string(GetParam()) == "crun")) << deep;
  EXPECT_EQ(ShellIn(id, "stat -c %u:%g /plain; cat /plain/roots 2>/dev/null || echo refused"),
            "65534:65534\nrefused\n");
  EXPECT_EQ(ShellIn(id, "echo x 2>/dev/null > /readonly/x || echo read-only"), "read-only\n");
  ShellIn(id, "echo x > /mapped/made; chown 5:6 /mapped/made; echo more >> /file");
  EXPECT_EQ(OwnerOf(volume + "/made"), "5:6") << "as if there were no user namespace";
  EXPECT_EQ(Must(ReadFile(volume + "/users")), "of a user\nmore\n");
  const std::string copies = daemon().run() + "/containers/" + id + "/mounts";
  EXPECT_EQ(Must(MountsBelow(copies)).size(), 5U) << "two with a mount below, a file";
  Must(StopContainer(id, 0));
  EXPECT_TRUE(Eventually([&] { return Must(MountsBelow(copies)).empty(); }))
      << "the volume is given back with the last process";
  RemovePod(pod.id);
  EXPECT_EQ(Must(ReadFile(volume + "/below/deep")), "x") << "the host's mount is still there";
  ASSERT_EQ(umount(((volume + "/below").c_str())), 0);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(UserNamespaces, MountsThatComeLaterReachAMappedVolume) {
  const std::string volume = MakeVolume("shared");
  ASSERT_EQ(mount("shared", volume.c_str(), "tmpfs", 0, ""), 0);
  ASSERT_EQ(mount(nullptr, volume.c_str(), nullptr, MS_SHARED, nullptr), 0);
  Must(MakeDirs(volume + "/later", 0755));
  const Pod pod = RunMapped("pod");
  auto config = In(pod, "main");
  AddMapped(pod, config, volume, "/mapped").set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
  AddMapped(pod, config, volume, "/private");
  auto refused = In(pod, "refused");
  AddMapped(pod, refused, volume, "/mapped").set_propagation(v1::PROPAGATION_BIDIRECTIONAL);
  ExpectError(CreateError(pod, refused), Code::kInvalidArgument, "mounts[0].propagation");
  const std::string id = Run(pod, config);
  ASSERT_EQ(mount("later", (volume + "/later").c_str(), "tmpfs", 0, "mode=0755"), 0);
  Must(WriteFileAtomic(volume + "/later/file", "later\n", 0644));
  EXPECT_EQ(ShellIn(id, "cat /mapped/later/file; ls /private/later"), "later\n");
  RemovePod(pod.id);
  EXPECT_EQ(Must(ReadFile(volume + "/later/file")), "later\n") << "the host's mount is still there";
  ASSERT_EQ(umount((volume + "/later").c_str()), 0);
  ASSERT_EQ(umount(volume.c_str()), 0);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(UserNamespaces, VolumesOutsideOfUserNamespacesCanBeMapped) {
  const Pod pod = RunPod("pod");
  const std::string volume = MakeVolume("volume");
  auto config = ShellContainer("main", kSleep);
  auto& mount = *config.add_mounts();
  mount.set_host_path(volume);
  mount.set_container_path("/mapped");
  Map(*mount.mutable_uidmappings(), 5000);
  Map(*mount.mutable_gidmappings(), 6000);
  EXPECT_EQ(ShellIn(Run(pod, config), "stat -c %u:%g /mapped/roots /mapped/users"),
            "5000:6000\n6000:7000\n");
  config.mutable_metadata()->set_name("wrong");
  config.mutable_mounts(0)->mutable_uidmappings(0)->set_length(0);
  ExpectError(CreateError(pod, config), Code::kInvalidArgument, "mounts[0].uidMappings");
  config.mutable_mounts(0)->set_host_path("/proc");
  Map(*config.mutable_mounts(0)->mutable_uidmappings(), 5000);
  ExpectError(CreateError(pod, config), Code::kFailedPrecondition, "mounts[0].uidMappings");
}

TEST_P(UserNamespaces, VolumesOfImages) {
  v1::PullImageRequest pull;
  pull.mutable_image()->set_image(registry().Image("volumes"));
  const std::string image = Must(client().PullImage(pull)).image_ref();
  const Pod pod = RunMapped("pod");
  auto config = In(pod, "main");
  config.mutable_image()->set_image(registry().Image("volumes"));
  auto& mount = *config.add_mounts();
  mount.mutable_image()->set_image(image);
  mount.set_container_path("/volume");
  mount.set_readonly(true);
  const std::string id = Run(pod, config);
  EXPECT_EQ(ShellIn(id,
                    "stat -c %u:%g /data/new /data/filled /volume /volume/bin/busybox "
                    "/volume/data/filled"),
            "0:0\n1000:2000\n0:0\n0:0\n1000:2000\n");
  EXPECT_EQ(ShellIn(id,
                    "cat /volume/data/filled/file; echo x > /data/new/made; "
                    "echo x 2>/dev/null > /volume/x || echo read-only"),
            "from the image\nread-only\n");
  const Pod plain = RunPod("plain");
  auto other = ShellContainer("main", kSleep);
  *other.add_mounts() = mount;
  EXPECT_EQ(ShellIn(Run(plain, other), "stat -c %u:%g /volume/data/filled"), "1000:2000\n")
      << "the same image without a mapping";
  RestartDaemon();
  EXPECT_EQ(ShellIn(id, "stat -c %u:%g /volume/data/filled"), "1000:2000\n");
  RemovePod(pod.id);
  RemovePod(plain.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(UserNamespaces, UsersOfTheImageAndOthers) {
  const Pod pod = RunMapped("pod");
  auto config = In(pod, "main", "id -u; id -g; whoami; echo x > /dev/stdout; exec sleep 1000");
  auto& context = *config.mutable_linux()->mutable_security_context();
  context.mutable_run_as_user()->set_value(12345);
  context.mutable_run_as_group()->set_value(54321);
  const std::string id = Run(pod, config);
  AwaitLog(LogPath(pod, "main"), "F x\n");
  EXPECT_EQ(HostIdOf(id, "Uid"), "212345");
  EXPECT_EQ(HostIdOf(id, "Gid"), "254322");
  EXPECT_EQ(ShellIn(id, "stat -c %u:%g /etc/passwd /etc/group; grep -c 12345 /etc/passwd"),
            "0:0\n0:0\n1\n");
  auto unmapped = In(pod, "unmapped");
  unmapped.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(kRange);
  ExpectError(CreateError(pod, unmapped), Code::kInvalidArgument, "user 65536 has no ID");
  auto host = In(pod, "host");
  host.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->mutable_userns_options()
      ->Clear();
  host.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->mutable_userns_options()
      ->set_mode(v1::NODE);
  ExpectError(CreateError(pod, host), Code::kInvalidArgument,
              "namespace_options.userns_options.mode");
  // One that says nothing is where its pod is.
  EXPECT_EQ(Words(ShellIn(Run(pod, ShellContainer("silent", kSleep)), "cat /proc/self/uid_map"))[1],
            "200000");
}

TEST_P(UserNamespaces, OutputCanBeOpenedAnew) {
  const Pod pod = RunMapped("pod");
  Run(pod, In(pod, "main",
              "echo out > /dev/stdout; echo err > /proc/self/fd/2; echo end; exec sleep 1000"));
  const std::string path = LogPath(pod, "main");
  AwaitLog(path, "F end\n");
  std::vector<std::string> lines;
  for (const auto& line : Log(path)) {
    lines.push_back(line.stream + " " + line.text);
  }
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, (std::vector<std::string>{"stderr err", "stdout end", "stdout out"}));
}

// An OCI runtime gives the standard streams to the user of the process.
TEST_P(UserNamespaces, NoDeviceOfTheNodeIsGivenToThePod) {
  constexpr uint32_t kFirst = 41200000;  // nobody else's: tests run side by side
  const Pod pod = RunMapped("pod", kFirst);
  const std::string id = Run(pod, In(pod, "main"));
  ExpectNullIsNotOf(kFirst);
  EXPECT_EQ(Exec(id, {"id", "-u"}).stdout(), "0\n");
  ExpectNullIsNotOf(kFirst);
}

TEST_P(UserNamespaces, ExecAttachAndPortForward) {
  Pull("web");
  const Pod pod = RunMapped("pod");
  auto web = In(pod, "web");
  web.mutable_image()->set_image(registry().Image("web"));
  web.clear_command();
  Run(pod, web);
  const std::string id = Run(pod, In(pod, "main"));
  auto config = In(pod, "reader", "read line; echo got $line");
  config.set_stdin(true);
  const std::string reader = Run(pod, config);
  const auto davit = [&](const std::string& script) {
    return MustRun(
        {"sh", "-c", "davit='" + DavitPath() + " --socket " + daemon().socket() + "'; " + script});
  };
  EXPECT_EQ(davit("$davit exec " + id + " sh -c 'id -u; echo again > /dev/stdout'"), "0\nagain\n");
  RememberDescriptors();  // the streaming thread runs, and stays
  EXPECT_EQ(davit("echo in | $davit exec -i " + id + " cat"), "in\n");
  EXPECT_EQ(davit("echo words | $davit attach -i " + reader), "got words\n");
  EXPECT_EQ(
      davit("$davit port-forward " + pod.id +
            " 18080:8080 > /dev/null & forward=$!; "
            "for i in $(seq 300); do busybox wget -q -O - http://127.0.0.1:18080/ 2>/dev/null "
            "&& break; sleep 0.1; done; kill $forward; wait $forward || true"),
      std::string(test::kWebPage));
  v1::ContainerStatsRequest stats;
  stats.set_container_id(id);
  EXPECT_TRUE(client().ContainerStats(stats).ok());
  v1::PodSandboxStatsRequest pod_stats;
  pod_stats.set_pod_sandbox_id(pod.id);
  EXPECT_EQ(Must(client().PodSandboxStats(pod_stats))
                .stats()
                .linux()
                .network()
                .default_interface()
                .name(),
            "eth0");
}

TEST_P(UserNamespaces, Terminal) {
  const Pod pod = RunMapped("pod");
  auto config = In(pod, "main", "tty; stat -c %u:%g $(tty); exec sleep 1000");
  config.set_tty(true);
  Run(pod, config);
  AwaitLog(LogPath(pod, "main"), "0:5");
}

TEST_P(UserNamespaces, Privileged) {
  auto config = MappedConfig("pod");
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const Pod pod = RunMapped(config);
  auto container = In(pod, "main");
  container.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string id = Run(pod, container);
  EXPECT_EQ(ShellIn(id, "mkdir /m && mount -t tmpfs m /m && echo mounted"), "mounted\n");
  EXPECT_EQ(ShellIn(id, "hostname mine && hostname"), "mine\n");
  EXPECT_EQ(ShellIn(id, "echo 1 2>/dev/null > /proc/sys/kernel/panic || echo refused"),
            "refused\n");
  EXPECT_EQ(ShellIn(id, "mknod /m/sda b 8 0 2>/dev/null || echo refused"), "refused\n");
  EXPECT_EQ(HostIdOf(id, "Uid"), "200000");
}

TEST_P(UserNamespaces, TheDaemonMayDieAndNothingStays) {
  const Pod pod = RunMapped("pod");
  const std::string volume = MakeVolume("volume");
  auto config = In(pod, "main", "trap 'exit 7' TERM; while :; do usleep 20000; done");
  AddMapped(pod, config, volume, "/mapped");
  const std::string running = Run(pod, config);
  auto waiting = In(pod, "waiting");
  AddMapped(pod, waiting, volume, "/mapped");
  const std::string created = Create(pod, waiting);
  RestartDaemon();
  EXPECT_EQ(Status(running).state(), v1::CONTAINER_RUNNING);
  EXPECT_EQ(PodStatus(pod.id).state(), v1::SANDBOX_READY);
  EXPECT_EQ(PodStatus(pod.id).linux().namespaces().options().userns_options().mode(), v1::POD);
  EXPECT_EQ(ShellIn(running, "cat /mapped/roots"), "of root\n");
  Must(StartContainer(created));
  EXPECT_EQ(ShellIn(created, "cat /mapped/roots; id -u"), "of root\n0\n");
  EXPECT_EQ(HostIdOf(Run(pod, In(pod, "late")), "Uid"), "200000");
  EXPECT_TRUE(StopContainer(running, 30).ok());
  EXPECT_EQ(Status(running).exit_code(), 7);
  StopPod(pod.id);
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(UserNamespaces, AFailedStartLeavesNothing) {
  auto config = MappedConfig("pod");
  (*config.mutable_linux()->mutable_sysctls())["net.ipv4.no_such_setting"] = "1";
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  request.set_runtime_handler(GetParam());
  ExpectError(client().RunPodSandbox(request).status(), Code::kInvalidArgument,
              "net.ipv4.no_such_setting");
  EXPECT_EQ(Leaks(), "");
  const Pod pod = RunMapped("pod");
  auto container = In(pod, "main");
  container.clear_command();
  container.add_command("no-such-command");
  AddMapped(pod, container, MakeVolume("volume"), "/mapped");
  EXPECT_FALSE(StartContainer(Create(pod, container)).ok());
  RemovePod(pod.id);
  EXPECT_EQ(Leaks(), "");
}

TEST_P(UserNamespaces, AreAnnounced) {
  const auto status = Must(client().Status({}));
  EXPECT_TRUE(status.features().user_namespaces_host_network());
  struct stat st = {};
  ASSERT_EQ(stat((daemon().run() + "/containers").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0711U);
  const Pod pod = RunMapped("pod");
  const std::string id = Create(pod, In(pod, "main"));
  ASSERT_EQ(stat((daemon().run() + "/containers/" + id).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0710U);
  EXPECT_EQ(std::tuple(st.st_uid, st.st_gid), std::tuple(0U, 200001U));
}

INSTANTIATE_TEST_SUITE_P(Each, UserNamespaces, testing::Values("crun", "runc"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace davit::e2e
