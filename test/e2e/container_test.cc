// SPDX-License-Identifier: Apache-2.0
//
// Containers: their life, exit codes, settings, names, and requests that cannot be met.

#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "base/cgroup.h"
#include "base/file.h"
#include "base/text.h"
#include "base/time.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

constexpr int64_t kMiB = 1 << 20;

class ContainerTest : public E2eTest {
 protected:
  void SetUp() override {
    E2eTest::SetUp();
    if (!IsSkipped()) {
      Pull("busybox");
      pod_ = RunPod("pod");
    }
  }

  std::string RunShell(const std::string& name, const std::string& script) {
    return Run(pod_, ShellContainer(name, script));
  }
  // Runs to its end; what it wrote.
  std::string Output(const v1::ContainerConfig& config) {
    const auto status = AwaitExit(Run(pod_, config));
    EXPECT_EQ(status.exit_code(), 0) << status.message();
    return LogText(LogPath(pod_, config.metadata().name()));
  }
  absl::Status TryCreate(const v1::ContainerConfig& config) {
    return client().CreateContainer(CreateRequest(pod_, config)).status();
  }
  // What the kernel has for the container's processes, whichever version of cgroups; and for the
  // scope that they are in, if there is one.
  std::string CgroupValue(const std::string& id, const std::string& controller,
                          const std::string& v1_file, const std::string& v2_file) {
    const CgroupFs cgroups = Must(CgroupFs::Detect());
    const std::string file = cgroups.mode() == CgroupMode::kV2 ? v2_file : v1_file;
    const auto read = [&](const std::string& cgroup) {
      return std::string(Trim(Must(cgroups.Read(controller, cgroup, file))));
    };
    std::string value = read(daemon().ProcessCgroup(pod_.id, id));
    EXPECT_EQ(value, read(daemon().ContainerCgroup(pod_.id, id)));
    return value;
  }

  Pod pod_;
};

TEST_F(ContainerTest, LifeFromCreatedToRemoved) {
  const int64_t before = NowNanos();
  auto config = ShellContainer("life", "echo out; echo err >&2; exit 3");
  (*config.mutable_labels())["app"] = "life";
  (*config.mutable_annotations())["note"] = "n";
  const std::string id = Create(pod_, config);
  auto status = Status(id);
  EXPECT_EQ(status.state(), v1::CONTAINER_CREATED);
  EXPECT_GE(status.created_at(), before);
  EXPECT_EQ(status.started_at(), 0);
  Must(StartContainer(id));
  status = AwaitExit(id);
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_EQ(status.reason(), "Error");
  EXPECT_GE(status.started_at(), status.created_at());
  EXPECT_GE(status.finished_at(), status.started_at());
  EXPECT_LE(status.finished_at(), NowNanos());
  EXPECT_EQ(status.metadata().name(), "life");
  EXPECT_EQ(status.labels().at("app"), "life");
  EXPECT_EQ(status.annotations().at("note"), "n");
  EXPECT_EQ(status.log_path(), LogPath(pod_, "life"));
  EXPECT_EQ(status.image().image(), config.image().image());
  EXPECT_NE(status.image_ref().find("127.0.0.1:5000/busybox@sha256:"), std::string::npos);
  const auto lines = Log(LogPath(pod_, "life"));
  ASSERT_EQ(lines.size(), 2U);
  for (const auto& line : lines) {
    EXPECT_EQ(line.text, line.stream == "stdout" ? "out" : "err");
    const int64_t written = Must(ParseRfc3339(line.time));
    EXPECT_GE(written, before);
    EXPECT_LE(written, NowNanos());
  }
  ExpectError(StartContainer(id), Code::kFailedPrecondition, "CONTAINER_EXITED");
  RemoveContainer(id);
  EXPECT_TRUE(Containers().empty());
  v1::ContainerStatusRequest gone;
  gone.set_container_id(id);
  ExpectError(client().ContainerStatus(gone).status(), Code::kNotFound, "does not exist");
  EXPECT_TRUE(PathExists(LogPath(pod_, "life"))) << "logs are the kubelet's to remove";
}

TEST_F(ContainerTest, ExitCodesAndReasons) {
  const auto completed = AwaitExit(RunShell("completed", "true"));
  EXPECT_EQ(completed.exit_code(), 0);
  EXPECT_EQ(completed.reason(), "Completed");
  const auto killed = AwaitExit(RunShell("killed", "sh -c 'kill -9 $$'; exit $?"));
  EXPECT_EQ(killed.exit_code(), 137);
  EXPECT_EQ(killed.reason(), "Error");
  const auto terminated =
      AwaitExit(RunShell("terminated", "trap 'exit 42' TERM; kill $$; sleep 5"));
  EXPECT_EQ(terminated.exit_code(), 42);
}

TEST_F(ContainerTest, OutOfMemoryIsNamed) {
  auto config = ShellContainer("hungry", "tail /dev/zero");
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(16 * kMiB);
  config.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(16 * kMiB);
  const auto status = AwaitExit(Run(pod_, config));
  EXPECT_EQ(status.reason(), "OOMKilled") << status.exit_code();
  EXPECT_EQ(status.exit_code(), 137);
}

TEST_F(ContainerTest, EnvironmentWorkingDirectoryAndUser) {
  Pull("user");
  auto config =
      Container("image-user", {"sh", "-c", "id -u; id -g; pwd; echo $GREETING $MORE"}, "user");
  auto& env = *config.add_envs();
  env.set_key("MORE");
  env.set_value("and more");
  EXPECT_EQ(Output(config), "1000\n1000\n/home/davit\nhello from the image and more\n");
  auto other = Container("other-user", {"sh", "-c", "id -u; id -g; id -G; pwd"}, "user");
  other.set_working_dir("/tmp");
  auto& security = *other.mutable_linux()->mutable_security_context();
  security.mutable_run_as_user()->set_value(65534);
  security.mutable_run_as_group()->set_value(3000);
  security.add_supplemental_groups(4000);
  EXPECT_EQ(Output(other), "65534\n3000\n3000 4000\n/tmp\n");
  auto named = Container("named-user", {"sh", "-c", "id -un; id -G; echo $HOME"}, "busybox");
  named.mutable_linux()->mutable_security_context()->set_run_as_username("davit");
  EXPECT_EQ(Output(named), "davit\n1000 2000\n/home/davit\n");
}

TEST_F(ContainerTest, CommandAndArgumentsOverrideTheImage) {
  auto config = Container("args", {"echo"});
  config.add_args("one");
  config.add_args("two words");
  EXPECT_EQ(Output(config), "one two words\n");
}

TEST_F(ContainerTest, Mounts) {
  const std::string source = daemon().dir() + "/volume";
  Must(MakeDirs(source, 0755));
  Must(WriteFileAtomic(source + "/file", "from the host\n", 0644));
  auto config =
      ShellContainer("mounts", "cat /rw/file /ro/file; echo back > /rw/new; echo no > /ro/new");
  auto& writable = *config.add_mounts();
  writable.set_host_path(source);
  writable.set_container_path("/rw");
  auto& readonly = *config.add_mounts();
  readonly.set_host_path(source);
  readonly.set_container_path("/ro");
  readonly.set_readonly(true);
  const auto status = AwaitExit(Run(pod_, config));
  EXPECT_NE(status.exit_code(), 0) << "the second write is refused";
  EXPECT_EQ(LogText(LogPath(pod_, "mounts")), "from the host\nfrom the host\n");
  EXPECT_EQ(Must(ReadFile(source + "/new")), "back\n");
  EXPECT_EQ(status.mounts_size(), 2);
}

// An OCI runtime gives the standard streams to the user of the process.
TEST_F(ContainerTest, NoDeviceOfTheNodeIsGivenToAUser) {
  constexpr uint32_t kUser = 41234;  // nobody else's: tests run side by side
  auto config = ShellContainer("user", "exec sleep 1000");
  config.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(kUser);
  const std::string id = Run(pod_, config);
  EXPECT_EQ(Exec(id, {"id", "-u"}).stdout(), "41234\n");
  ExpectNullIsNotOf(kUser);
}

TEST_F(ContainerTest, ReadOnlyRootCapabilitiesAndPrivileged) {
  auto config = ShellContainer("plain", "touch /x && grep CapEff /proc/self/status");
  EXPECT_EQ(Output(config).substr(0, 8), "CapEff:\t");
  auto readonly = ShellContainer("readonly", "touch /x || echo refused");
  readonly.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
  EXPECT_EQ(Output(readonly), "refused\n");
  auto dropped = ShellContainer("dropped", "grep CapEff /proc/self/status");
  dropped.mutable_linux()
      ->mutable_security_context()
      ->mutable_capabilities()
      ->add_drop_capabilities("ALL");
  EXPECT_EQ(Output(dropped), "CapEff:\t0000000000000000\n");
}

TEST_F(ContainerTest, PrivilegedInAPrivilegedPod) {
  auto pod_config = PodConfig("privileged");
  pod_config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const Pod pod = RunPod(pod_config);
  auto config = ShellContainer("all", "mount -t tmpfs none /tmp && ls /dev/kmsg");
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  EXPECT_EQ(AwaitExit(Run(pod, config)).exit_code(), 0) << LogText(LogPath(pod, "all"));
}

TEST_F(ContainerTest, ResourcesReachTheCgroupAndAreUpdated) {
  auto config = ShellContainer("limits", "exec sleep 1000");
  auto& resources = *config.mutable_linux()->mutable_resources();
  resources.set_memory_limit_in_bytes(64 * kMiB);
  resources.set_cpu_period(100000);
  resources.set_cpu_quota(50000);
  resources.set_cpu_shares(512);
  const std::string id = Run(pod_, config);
  const auto memory = [&] {
    return CgroupValue(id, "memory", "memory.limit_in_bytes", "memory.max");
  };
  EXPECT_EQ(memory(), std::to_string(64 * kMiB));
  v1::UpdateContainerResourcesRequest request;
  request.set_container_id(id);
  request.mutable_linux()->set_memory_limit_in_bytes(96 * kMiB);
  request.mutable_linux()->set_cpu_quota(20000);
  Must(client().UpdateContainerResources(request));
  EXPECT_EQ(memory(), std::to_string(96 * kMiB));
  EXPECT_TRUE(CgroupValue(id, "cpu", "cpu.cfs_quota_us", "cpu.max").starts_with("20000"));
  const auto told = Status(id).resources().linux();
  EXPECT_EQ(told.memory_limit_in_bytes(), 96 * kMiB);
  EXPECT_EQ(told.cpu_quota(), 20000);
  EXPECT_EQ(told.cpu_period(), 100000) << "what the update left unset stays";
}

// crun 1.8 cannot write a quota of -1 for cgroup v1.
TEST_F(ContainerTest, AQuotaIsLiftedAtStartAndLater) {
  auto config = ShellContainer("lifted", "exec sleep 1000");
  config.mutable_linux()->mutable_resources()->set_cpu_quota(-1);
  const std::string id = Create(pod_, config);
  const auto set_quota = [&](int64_t quota) {
    v1::UpdateContainerResourcesRequest request;
    request.set_container_id(id);
    request.mutable_linux()->set_cpu_quota(quota);
    Must(client().UpdateContainerResources(request));
  };
  const auto has_quota = [&] {
    const std::string quota = CgroupValue(id, "cpu", "cpu.cfs_quota_us", "cpu.max");
    return !quota.starts_with("-1") && !quota.starts_with("max");
  };
  set_quota(50000);
  set_quota(-1);
  Must(StartContainer(id));
  EXPECT_FALSE(has_quota());
  set_quota(50000);
  EXPECT_TRUE(has_quota());
  set_quota(-1);
  EXPECT_FALSE(has_quota());
}

TEST_F(ContainerTest, Stats) {
  auto config = ShellContainer("busy",
                               "dd if=/dev/zero of=/data bs=1M count=8; "
                               "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; "
                               "echo done; exec sleep 1000");
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64 * kMiB);
  (*config.mutable_labels())["app"] = "busy";
  const std::string id = Run(pod_, config);
  AwaitLog(LogPath(pod_, "busy"), "done");
  v1::ContainerStatsRequest request;
  request.set_container_id(id);
  const auto stats = Must(client().ContainerStats(request)).stats();
  EXPECT_EQ(stats.attributes().id(), id);
  EXPECT_EQ(stats.attributes().metadata().name(), "busy");
  EXPECT_GT(stats.cpu().usage_core_nano_seconds().value(), 1'000'000U);
  EXPECT_GT(stats.memory().working_set_bytes().value(), 0U);
  EXPECT_LE(stats.memory().available_bytes().value(), static_cast<uint64_t>(64 * kMiB));
  EXPECT_TRUE(Eventually([&] {
    const auto& layer = Must(client().ContainerStats(request)).stats().writable_layer();
    return layer.used_bytes().value() >= static_cast<uint64_t>(8 * kMiB) &&
           layer.inodes_used().value() > 0;
  })) << "the writable layer is measured from time to time";
  v1::ListContainerStatsRequest list;
  (*list.mutable_filter()->mutable_label_selector())["app"] = "busy";
  EXPECT_EQ(Must(client().ListContainerStats(list)).stats_size(), 1);
  list.mutable_filter()->set_pod_sandbox_id("nonesuch");
  EXPECT_EQ(Must(client().ListContainerStats(list)).stats_size(), 0);
}

TEST_F(ContainerTest, Filters) {
  auto red = ShellContainer("red", "exec sleep 1000");
  (*red.mutable_labels())["colour"] = "red";
  const std::string running = Run(pod_, red);
  const std::string ended = RunShell("ended", "true");
  AwaitExit(ended);
  const Pod other = RunPod("other");
  const std::string created = Create(other, ShellContainer("created", "true"));
  const auto ids = [&](const v1::ContainerFilter& filter) {
    std::set<std::string> found;
    for (const auto& container : Containers(filter)) {
      found.insert(container.id());
    }
    return found;
  };
  using Set = std::set<std::string>;
  v1::ContainerFilter filter;
  EXPECT_EQ(ids(filter), (Set{running, ended, created}));
  filter.set_id(running.substr(0, 20));
  EXPECT_EQ(ids(filter), Set{running});
  filter.Clear();
  filter.set_pod_sandbox_id(other.id.substr(0, 20));
  EXPECT_EQ(ids(filter), Set{created});
  filter.Clear();
  filter.mutable_state()->set_state(v1::CONTAINER_EXITED);
  EXPECT_EQ(ids(filter), Set{ended});
  filter.mutable_state()->set_state(v1::CONTAINER_RUNNING);
  (*filter.mutable_label_selector())["colour"] = "red";
  EXPECT_EQ(ids(filter), Set{running});
  (*filter.mutable_label_selector())["colour"] = "green";
  EXPECT_EQ(ids(filter), Set{});
}

TEST_F(ContainerTest, StopGivesTheGracePeriodThenKills) {
  const std::string polite =
      RunShell("polite", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done");
  AwaitLog(LogPath(pod_, "polite"), "up");
  EXPECT_TRUE(StopContainer(polite, 30).ok());
  EXPECT_EQ(Status(polite).exit_code(), 7);
  const std::string deaf = RunShell("deaf", "trap '' TERM; echo up; while :; do sleep 1; done");
  AwaitLog(LogPath(pod_, "deaf"), "up");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(StopContainer(deaf, 1).ok());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 1s);
  EXPECT_EQ(Status(deaf).exit_code(), 137);
  EXPECT_TRUE(StopContainer(deaf, 1).ok()) << "what has ended is stopped";
  EXPECT_TRUE(StopContainer(std::string(64, 'a'), 0).ok()) << "what is unknown is stopped";
}

TEST_F(ContainerTest, ASecondShorterStopIsObeyed) {
  const std::string deaf = RunShell("deaf", "trap '' TERM; echo up; while :; do sleep 1; done");
  AwaitLog(LogPath(pod_, "deaf"), "up");
  absl::Status patient;
  std::thread first([&] { patient = StopContainer(deaf, 600); });
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(StopContainer(deaf, 1).ok());
  first.join();
  EXPECT_TRUE(patient.ok()) << patient;
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
  EXPECT_EQ(Status(deaf).state(), v1::CONTAINER_EXITED);
}

TEST_F(ContainerTest, StopSignalOfTheImage) {
  Pull("web");
  auto config = Container(
      "web", {"sh", "-c", "trap 'exit 9' INT; echo up; while :; do sleep 0.05; done"}, "web");
  const std::string id = Run(pod_, config);
  AwaitLog(LogPath(pod_, "web"), "up");
  EXPECT_TRUE(StopContainer(id, 30).ok());
  EXPECT_EQ(Status(id).exit_code(), 9);
  EXPECT_EQ(v1::Signal_Name(Status(id).stop_signal()), "SIGNAL_SIGINT");
}

TEST_F(ContainerTest, StopOfWhatWasNeverStarted) {
  const std::string id = Create(pod_, ShellContainer("unstarted", "true"));
  EXPECT_TRUE(StopContainer(id, 10).ok());
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_EXITED);
  EXPECT_NE(Status(id).exit_code(), 0);
}

TEST_F(ContainerTest, RunningContainerIsRemovedByForce) {
  const std::string id = RunShell("running", "exec sleep 1000");
  RemoveContainer(id);
  RemoveContainer(id);
  EXPECT_TRUE(Containers().empty());
}

TEST_F(ContainerTest, ANameIsFreeAfterRemoval) {
  const std::string first = RunShell("again", "echo first");
  AwaitExit(first);
  EXPECT_EQ(Create(pod_, ShellContainer("again", "echo first")), first);
  RemoveContainer(first);
  const std::string second = RunShell("again", "echo second");
  AwaitExit(second);
  EXPECT_NE(second, first);
  auto attempt = ShellContainer("again", "true");
  attempt.mutable_metadata()->set_attempt(1);
  EXPECT_NE(Create(pod_, attempt), second);
  EXPECT_EQ(LogText(LogPath(pod_, "again")), "first\nsecond\n");
}

TEST_F(ContainerTest, EightAtOnceMakeOne) {
  const auto request = CreateRequest(pod_, ShellContainer("eight", "true"));
  std::array<absl::StatusOr<v1::CreateContainerResponse>, 8> results;
  std::vector<std::thread> callers;
  for (auto& result : results) {
    callers.emplace_back([&] { result = client().CreateContainer(request); });
  }
  for (auto& caller : callers) {
    caller.join();
  }
  std::set<std::string> ids;
  for (const auto& result : results) {
    ids.insert(Must(result).container_id());
  }
  EXPECT_EQ(ids.size(), 1U);
  EXPECT_EQ(Containers().size(), 1U);
}

TEST_F(ContainerTest, ATtyHasOneStreamAndCarriageReturns) {
  auto config = ShellContainer("tty", "tty && echo out && echo err >&2");
  config.set_tty(true);
  const std::string output = Output(config);
  EXPECT_TRUE(output.starts_with("/dev/pts/0")) << output;
  EXPECT_NE(output.find("err"), std::string::npos) << output;
}

TEST_F(ContainerTest, ImageThatIsNotPresent) {
  const auto config = Container("absent", {"true"}, "never-pulled");
  ExpectError(TryCreate(config), Code::kNotFound, "127.0.0.1:5000/never-pulled:latest");
  EXPECT_TRUE(Containers().empty());
}

TEST_F(ContainerTest, CommandThatIsNotInTheImage) {
  Pull("missing-command");
  const std::string id = Create(pod_, Container("absent", {}, "missing-command"));
  const absl::Status started = StartContainer(id);
  EXPECT_FALSE(started.ok());
  const std::string message(started.message());
  EXPECT_NE(message.find("no-such-command"), std::string::npos) << message;
  EXPECT_NE(message.find("executable file not found in $PATH"), std::string::npos) << message;
  const auto status = Status(id);
  EXPECT_EQ(status.state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), 128);
  EXPECT_EQ(status.reason(), "StartError");
  EXPECT_NE(status.message().find("executable file not found in $PATH"), std::string::npos);
  const std::string path = Create(pod_, Container("path", {"/no/such/file"}));
  const absl::Status by_path = StartContainer(path);
  EXPECT_NE(std::string(by_path.message()).find("no such file or directory"), std::string::npos)
      << by_path;
  const std::string directory = Create(pod_, Container("directory", {"/etc"}));
  EXPECT_FALSE(StartContainer(directory).ok());
}

TEST_F(ContainerTest, MountSourceThatDoesNotExistIsMade) {
  auto config = ShellContainer("mount", "touch /data/made && ls -ld /data");
  auto& mount = *config.add_mounts();
  mount.set_host_path(daemon().dir() + "/new/source");
  mount.set_container_path("/data");
  EXPECT_EQ(Output(config).rfind("drwxr-xr-x", 0), 0U);
  EXPECT_TRUE(PathExists(mount.host_path() + "/made"));
}

TEST_F(ContainerTest, MountOptions) {
  auto config = ShellContainer("options",
                               "cp /bin/busybox /data/x; /data/x true || echo noexec; "
                               "grep ' /data ' /proc/self/mounts");
  auto& mount = *config.add_mounts();
  mount.set_host_path(daemon().dir() + "/options");
  mount.set_container_path("/data");
  for (const char* option : {"noexec", "nodev", "nosuid"}) {
    mount.add_mount_options(option);
  }
  const std::string output = Output(config);
  EXPECT_EQ(output.rfind("noexec\n", 0), 0U) << output;
  EXPECT_NE(output.find("nosuid,nodev,noexec"), std::string::npos) << output;
  v1::StatusRequest request;
  EXPECT_TRUE(Must(client().Status(request)).features().mount_options());
}

TEST_F(ContainerTest, SeesTheProcessesOfItsTarget) {
  const std::string target = RunShell("target", "exec sleep 4242");
  auto config = ShellContainer("debugger", "grep -al 4242 /proc/1/cmdline");
  auto& namespaces =
      *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
  namespaces.set_pid(v1::TARGET);
  namespaces.set_target_id(target);
  EXPECT_EQ(Output(config), "/proc/1/cmdline\n");
  auto lost = ShellContainer("lost", "true");
  *lost.mutable_linux() = config.linux();
  lost.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_target_id(
      "0123456789");
  ExpectError(TryCreate(lost), Code::kNotFound, "0123456789");
}

TEST_F(ContainerTest, AUserWithoutAnAccountGetsOne) {
  auto config = ShellContainer("user", "id -un; grep -c . /etc/passwd; id -gn");
  config.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(4711);
  config.mutable_linux()->mutable_security_context()->mutable_run_as_group()->set_value(4712);
  const std::string output = Output(config);
  EXPECT_EQ(output.rfind("4711\n", 0), 0U) << output;
  EXPECT_EQ(output.substr(output.size() - 5), "4712\n") << output;
}

TEST_F(ContainerTest, LogPathThatLeavesItsDirectory) {
  for (const char* path : {"../escape.log", "a/../../escape.log", "/etc/escape.log"}) {
    auto config = ShellContainer("escape", "true");
    config.set_log_path(path);
    ExpectError(TryCreate(config), Code::kInvalidArgument, "escape.log");
  }
  EXPECT_TRUE(Containers().empty());
}

TEST_F(ContainerTest, LogDirectoryThatIsASymlinkOutward) {
  // The container's own volume is under the log directory of nobody: a link there must not be
  // followed into a file of the host.
  Must(MakeDirs(pod_.config.log_directory(), 0755));
  const std::string victim = daemon().dir() + "/victim";
  Must(WriteFileAtomic(victim, "untouched\n"));
  ASSERT_EQ(symlink(victim.c_str(), LogPath(pod_, "linked").c_str()), 0);
  const absl::StatusOr<v1::CreateContainerResponse> created =
      client().CreateContainer(CreateRequest(pod_, ShellContainer("linked", "echo overwritten")));
  if (created.ok() && StartContainer(created->container_id()).ok()) {
    AwaitExit(created->container_id());
  }
  EXPECT_EQ(Must(ReadFile(victim)), "untouched\n");
}

TEST_F(ContainerTest, BadRequests) {
  auto config = ShellContainer("bad", "true");
  config.mutable_metadata()->clear_name();
  ExpectError(TryCreate(config), Code::kInvalidArgument, "metadata");
  config = ShellContainer("bad", "true");
  config.mutable_image()->set_image("127.0.0.1:5000/UPPER:bad");
  ExpectError(TryCreate(config), Code::kInvalidArgument, "127.0.0.1:5000/UPPER:bad");
  config = ShellContainer("bad", "true");
  config.mutable_linux()->mutable_security_context()->mutable_capabilities()->add_add_capabilities(
      "NO_SUCH_CAPABILITY");
  ExpectError(TryCreate(config), Code::kInvalidArgument, "NO_SUCH_CAPABILITY");
  config = ShellContainer("bad", "true");
  config.mutable_linux()->mutable_security_context()->set_run_as_username("nobody-here");
  EXPECT_FALSE(TryCreate(config).ok());
  v1::CreateContainerRequest request = CreateRequest(pod_, ShellContainer("bad", "true"));
  request.set_pod_sandbox_id(std::string(64, 'a'));
  ExpectError(client().CreateContainer(request).status(), Code::kNotFound, "sandbox");
  ExpectError(StartContainer(std::string(64, 'a')), Code::kNotFound, "container");
  EXPECT_TRUE(Containers().empty());
}

TEST_F(ContainerTest, NotInAPodThatIsStopped) {
  const std::string id = Create(pod_, ShellContainer("early", "true"));
  StopPod(pod_.id);
  ExpectError(TryCreate(ShellContainer("late", "true")), Code::kFailedPrecondition, "not ready");
  EXPECT_EQ(StartContainer(id).code(), Code::kFailedPrecondition);
}

// What the node's configuration adds to every container, and what it wants to be there.
class NodeSettings : public ContainerTest {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = R"(runtime:
  default_mounts: ["/usr/share/common-licenses:/licenses"]
  additional_devices: ["/dev/zero:/dev/nought:r"]
  mount_sources_to_reject: [/no/such/directory]
)",
            .failpoints = {}};
  }
};

TEST_F(NodeSettings, MountsAndDevices) {
  const auto config =
      ShellContainer("look",
                     "ls -d /licenses/GPL-2; touch /licenses/x 2>/dev/null || echo read-only; "
                     "head -c 3 /dev/nought | wc -c");
  EXPECT_EQ(Output(config), "/licenses/GPL-2\nread-only\n3\n");
}

TEST_F(NodeSettings, SourceThatIsToBeThere) {
  auto config = ShellContainer("late", "true");
  auto& mount = *config.add_mounts();
  mount.set_host_path("/no/such/directory");
  mount.set_container_path("/data");
  ExpectError(TryCreate(config), Code::kFailedPrecondition, "runtime.mount_sources_to_reject");
  EXPECT_FALSE(PathExists("/no/such/directory"));
}

TEST_F(ContainerTest, ManyAtOnce) {
  constexpr int kMany = 12;
  std::array<absl::StatusOr<std::string>, kMany> outputs;
  std::vector<std::thread> callers;
  for (int i = 0; i < kMany; ++i) {
    callers.emplace_back([&, i] {
      const std::string name = "many" + std::to_string(i);
      const auto created =
          client().CreateContainer(CreateRequest(pod_, ShellContainer(name, "echo " + name)));
      outputs[i] =
          created.ok() ? absl::StatusOr<std::string>(created->container_id()) : created.status();
      if (created.ok()) {
        const absl::Status started = StartContainer(created->container_id());
        if (!started.ok()) {
          outputs[i] = started;
        }
      }
    });
  }
  for (auto& caller : callers) {
    caller.join();
  }
  for (int i = 0; i < kMany; ++i) {
    EXPECT_EQ(AwaitExit(Must(outputs[i])).exit_code(), 0);
    const std::string name = "many" + std::to_string(i);
    EXPECT_EQ(LogText(LogPath(pod_, name)), name + "\n");
  }
}

}  // namespace
}  // namespace davit::e2e
