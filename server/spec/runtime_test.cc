// SPDX-License-Identifier: Apache-2.0
//
// The generated config in the hands of the real OCI runtimes: what a process sees from within.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/caps.h"
#include "base/context.h"
#include "base/file.h"
#include "base/id.h"
#include "base/proc.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

using std::chrono::seconds;

constexpr char kBusybox[] = "/bin/busybox";

class RuntimeTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root to run containers";
    }
    const absl::StatusOr<std::string> program = FindProgram(GetParam());
    if (!program.ok()) {
      GTEST_SKIP() << Text(program.status());
    }
    if (!PathExists(kBusybox)) {
      GTEST_SKIP() << "needs a static " << kBusybox;
    }
    const absl::StatusOr<std::string> hybrid =
        ReadFile("/sys/fs/cgroup/unified/cgroup.controllers");
    if (std::string(GetParam()) == "crun" && hybrid.ok() && !Trim(*hybrid).empty()) {
      GTEST_SKIP() << "crun before 1.9 refuses a hybrid host whose v2 hierarchy has controllers";
    }
    program_ = *program;
    MakeRootfs();
    request_.cgroup = "/davit-spec-" + id_;
    request_.rootfs = bundle_.path() + "/rootfs";
    request_.sys_root = "/sys";
    request_.cgroup_v2 = PathExists("/sys/fs/cgroup/cgroup.controllers");
    request_.own_capabilities = *OwnCapabilities();
    request_.lowest_oom_score_adj = LowestOomScoreAdj();
    request_.image.entrypoint = {"/bin/sh", "-c"};
  }

  void TearDown() override {
    if (!program_.empty()) {
      (void)Call({"delete", "--force", id_});
    }
  }

  void MakeRootfs() {
    std::filesystem::create_directories(bundle_.path() + "/rootfs/bin");
    std::filesystem::copy_file(kBusybox, bundle_.path() + "/rootfs/bin/busybox");
    for (const char* name :
         {"awk", "cat",      "date",  "dd",    "env",   "false", "grep",  "id",    "ln",
          "ls",  "mkdir",    "mknod", "mount", "mv",    "ps",    "pwd",   "rm",    "sed",
          "sh",  "sleep",    "sort",  "stat",  "tar",   "test",  "touch", "true",  "unshare",
          "wc",  "readlink", "which", "chown", "chmod", "head",  "seq",   "ulimit"}) {
      std::filesystem::create_symlink("busybox", bundle_.path() + "/rootfs/bin/" + name);
    }
    bundle_.Write("rootfs/etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:\n");
    bundle_.Write("rootfs/etc/group", "root:x:0:\nweb:x:1001:\naudio:x:29:web\n");
    bundle_.MakeDir("rootfs/tmp");
    request_.root_fd = *Open(bundle_.path() + "/rootfs", O_PATH | O_DIRECTORY);
  }

  absl::StatusOr<RunResult> Call(const std::vector<std::string>& args) {
    SpawnOptions spawn;
    spawn.argv = {program_, "--root", state_.path()};
    spawn.argv.insert(spawn.argv.end(), args.begin(), args.end());
    spawn.env = MinimalEnv();
    Context ctx(seconds(60));
    // Not /dev/null: crun gives its standard input to the user of the container.
    return davit::Run(ctx, spawn, {.input = "\n"});
  }

  void WriteConfig() {
    const absl::StatusOr<SpecOutput> output = BuildSpec(request_.Input());
    ASSERT_TRUE(output.ok()) << Text(output.status());
    config_ = output->config_json;
    bundle_.Write("config.json", config_);
  }

  // Runs a shell script as the container; its stdout, then " exit N" if that is not 0.
  std::string Output(const std::string& script) {
    request_.container.clear_args();
    request_.container.add_args(script);
    WriteConfig();
    const absl::StatusOr<RunResult> result = Call({"run", "--bundle", bundle_.path(), id_});
    EXPECT_TRUE(result.ok()) << Text(result.status());
    if (!result.ok()) {
      return "";
    }
    stderr_ = result->err;
    const std::string out(Trim(result->out));
    return result->exit.code == 0
               ? out
               : fmt::format("{} exit {}: {}", out, result->exit.code, result->err);
  }

  std::string StatusField(const std::string& field) {
    return Output("sed -n 's/^" + field + ":[\\t ]*//p' /proc/self/status");
  }

  std::string id_ = ShortId(NewId());
  std::string program_;
  TempDir bundle_;
  TempDir state_;
  TestRequest request_;
  std::string config_;
  std::string stderr_;
};

TEST_P(RuntimeTest, Identity) {
  request_.Context().mutable_run_as_user()->set_value(1000);
  request_.Context().add_supplemental_groups(5000);
  EXPECT_EQ(
      Output("id -u; id -g; id -G; echo $HOME; grep -E 'NoNewPrivs|CapEff' /proc/self/status"),
      "1000\n1001\n1001 29 5000\n/home/web\nCapEff:\t0000000000000000\nNoNewPrivs:\t0");
}

TEST_P(RuntimeTest, StrictGroups) {
  request_.Context().mutable_run_as_user()->set_value(1000);
  request_.Context().mutable_run_as_group()->set_value(7);
  request_.Context().set_supplemental_groups_policy(runtime::v1::Strict);
  EXPECT_EQ(Output("id -u; id -G"), "1000\n7");
}

TEST_P(RuntimeTest, CapabilitiesOfRoot) {
  request_.node.default_capabilities = {"CHOWN", "KILL"};                      // bits 0 and 5
  request_.Context().mutable_capabilities()->add_add_capabilities("NET_RAW");  // bit 13
  request_.Context().set_no_new_privs(true);
  EXPECT_EQ(Output("grep -E '^(Cap|NoNew)' /proc/self/status"),
            "CapInh:\t0000000000000000\n"
            "CapPrm:\t0000000000002021\n"
            "CapEff:\t0000000000002021\n"
            "CapBnd:\t0000000000002021\n"
            "CapAmb:\t0000000000000000\n"
            "NoNewPrivs:\t1");
}

TEST_P(RuntimeTest, AmbientCapabilities) {
  request_.Context().mutable_run_as_user()->set_value(1000);
  request_.Context().mutable_capabilities()->add_drop_capabilities("ALL");
  request_.Context().mutable_capabilities()->add_add_ambient_capabilities("CHOWN");
  EXPECT_EQ(Output("grep -E '^Cap(Eff|Amb)' /proc/self/status"),
            "CapEff:\t0000000000000001\nCapAmb:\t0000000000000001");
}

TEST_P(RuntimeTest, PrivilegedHasWhatTheDaemonHas) {
  request_.MakePrivileged();
  request_.privileged_without_host_devices = false;
  const absl::StatusOr<std::string> own = ReadFile("/proc/self/status");
  ASSERT_TRUE(own.ok());
  const size_t at = own->find("CapPrm:\t");
  ASSERT_NE(at, std::string::npos);
  request_.Context().add_masked_paths("/proc/interrupts");
  EXPECT_EQ(StatusField("CapEff"), own->substr(at + 8, 16));
  EXPECT_EQ(Output("mount -t tmpfs none /tmp && echo mounted; test -e /dev/kmsg && echo kmsg; "
                   "grep ' /sys sysfs rw' /proc/mounts | wc -l; grep -c CPU0 /proc/interrupts"),
            "mounted\nkmsg\n1\n1");
}

TEST_P(RuntimeTest, EnvironmentAndDirectory) {
  request_.node.default_env = {"A=node", "B=node"};
  request_.image.env = {"B=image", "C=image"};
  runtime::v1::KeyValue* env = request_.container.add_envs();
  env->set_key("C");
  env->set_value("two\nlines \"quoted\" \xc3\xa9");
  request_.container.set_working_dir("/made/by/runtime");
  EXPECT_EQ(Output("echo $A $B; echo \"$C\"; echo $HOSTNAME; pwd"),
            "node image\ntwo\nlines \"quoted\" \xc3\xa9\npod-host\n/made/by/runtime");
}

// CVE-2026-55686: the image's working directory leads to a directory of the host, which would be
// made and given to the container's user.
TEST_P(RuntimeTest, WorkingDirectoryBehindASymlinkStaysInside) {
  TempDir host;
  host.MakeDir("outside");
  const std::string link = bundle_.path() + "/rootfs/link";
  ASSERT_EQ(symlink((host.path() + "/outside").c_str(), link.c_str()), 0);
  request_.image.working_dir = "/link/made";
  request_.Context().mutable_run_as_user()->set_value(1000);
  (void)Output("pwd");
  EXPECT_FALSE(PathExists(host.path() + "/outside/made"));
  request_.image.working_dir = "/link";
  (void)Output("pwd");
  struct stat st = {};
  ASSERT_EQ(stat((host.path() + "/outside").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, geteuid());
}

TEST_P(RuntimeTest, Mounts) {
  TempDir host;
  host.Write("in", "from the host");
  request_.resolv_conf = host.Write("resolv.conf", "nameserver 192.0.2.1\n");
  const auto add = [&](const std::string& path, bool readonly) {
    runtime::v1::Mount* mount = request_.container.add_mounts();
    mount->set_container_path(path);
    mount->set_host_path(host.path());
    mount->set_readonly(readonly);
  };
  add("/rw/deep", false);
  add("/ro", true);
  // On v1 the directory itself is a tmpfs of the container.
  const std::string procs = request_.cgroup_v2 ? "cgroup.procs" : "memory/cgroup.procs";
  EXPECT_EQ(
      Output("cat /rw/deep/in; echo; echo x > /rw/deep/out && echo rw; "
             "echo x > /ro/out2 || echo ro; cat /etc/resolv.conf; "
             "echo x > /etc/resolv.conf || echo ro; echo x > /sys/x || echo ro; "
             "echo 0 > /sys/fs/cgroup/" +
             procs +
             " || echo ro; "
             "touch /dev/shm/x && ls -d /dev/mqueue /dev/pts/ptmx; echo > /dev/null && echo dev"),
      "from the host\nrw\nro\nnameserver 192.0.2.1\nro\nro\nro\n/dev/mqueue\n/dev/pts/ptmx\ndev")
      << stderr_;
  EXPECT_TRUE(PathExists(host.path() + "/out"));
  EXPECT_FALSE(PathExists(host.path() + "/out2"));
}

// A tmpfs at a directory for as long as the object lives.
class Tmpfs {
 public:
  explicit Tmpfs(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(mount("none", path_.c_str(), "tmpfs", 0, nullptr), 0);
  }
  ~Tmpfs() { EXPECT_EQ(umount(path_.c_str()), 0); }
  Tmpfs(const Tmpfs&) = delete;
  Tmpfs& operator=(const Tmpfs&) = delete;

 private:
  std::string path_;
};

TEST_P(RuntimeTest, ReadOnlyMountsWithMountsBeneathThem) {
  const TempDir host;
  const Tmpfs beneath(host.MakeDir("beneath"));
  request_.recursive_read_only_mounts = true;
  for (const bool recursive : {false, true}) {
    runtime::v1::Mount* mount = request_.container.add_mounts();
    mount->set_container_path(recursive ? "/recursive" : "/plain");
    mount->set_host_path(host.path());
    mount->set_readonly(true);
    mount->set_recursive_read_only(recursive);
  }
  EXPECT_EQ(Output("for i in plain recursive; do touch /$i/x || echo ro; "
                   "touch /$i/beneath/x && echo rw || echo ro; done"),
            "ro\nrw\nro\nro")
      << stderr_;
}

// A process that holds namespaces of its own, as the pins of a pod do.
class NamespaceHolder {
 public:
  NamespaceHolder() {
    SpawnOptions spawn;
    spawn.argv = {kBusybox, "unshare", "-u", "-i", "-n", "sleep", "1000"};
    spawn.env = MinimalEnv();
    absl::StatusOr<Process> process = Spawn(spawn);
    if (process.ok()) {
      process_ = *std::move(process);
    }
    // All three are there once the program is the sleep.
    const auto deadline = std::chrono::steady_clock::now() + seconds(10);
    while (Comm().find("sleep") == std::string::npos &&
           std::chrono::steady_clock::now() < deadline) {
      usleep(1000);
    }
  }
  ~NamespaceHolder() {
    Context ctx(seconds(10));
    (void)process_.Kill(SIGKILL);
    (void)process_.Wait(ctx);
  }
  [[nodiscard]] std::string Path(const std::string& type) const {
    return fmt::format("/proc/{}/ns/{}", process_.pid(), type);
  }
  [[nodiscard]] std::string Link(const std::string& type) const {
    return std::filesystem::read_symlink(Path(type)).string();
  }

 private:
  [[nodiscard]] std::string Comm() const {
    const auto text = ReadFile(fmt::format("/proc/{}/cmdline", process_.pid()));
    const std::string line = text.ok() ? *text : "";
    return line.substr(0, line.find('\0'));
  }
  Process process_;
};

TEST_P(RuntimeTest, JoinsThePodsNamespaces) {
  const NamespaceHolder pod;
  request_.namespaces = {.net = pod.Path("net"), .ipc = pod.Path("ipc"), .uts = pod.Path("uts")};
  EXPECT_EQ(Output("for ns in net ipc uts; do readlink /proc/self/ns/$ns; done; echo $$"),
            fmt::format("{}\n{}\n{}\n1", pod.Link("net"), pod.Link("ipc"), pod.Link("uts")));
  request_.namespaces = {.host_pid = true};
  const std::string host = std::filesystem::read_symlink("/proc/self/ns/pid").string();
  EXPECT_EQ(Output("readlink /proc/self/ns/pid"), host);
}

TEST_P(RuntimeTest, ReadonlyRoot) {
  request_.Context().set_readonly_rootfs(true);
  EXPECT_EQ(Output("touch /x || echo ro; touch /dev/shm/x && echo rw"), "ro\nrw");
}

TEST_P(RuntimeTest, MaskedAndReadonlyPaths) {
  request_.Context().add_masked_paths("/proc/interrupts");
  request_.Context().add_masked_paths("/proc/no-such-file");
  request_.Context().add_masked_paths("/sys/class");
  request_.Context().add_readonly_paths("/proc/sys");
  EXPECT_EQ(Output("wc -c < /proc/interrupts; ls -A /sys/class | wc -l; "
                   "echo 1 > /proc/sys/kernel/panic || echo ro"),
            "0\n0\nro");
}

TEST_P(RuntimeTest, RuntimeDefaultSeccompLetsProgramsWork) {
  request_.Context().mutable_seccomp()->set_profile_type(
      runtime::v1::SecurityProfile::RuntimeDefault);
  EXPECT_EQ(StatusField("Seccomp"), "2");
  EXPECT_EQ(
      Output("set -e; cd /tmp; mkdir d; echo hello > d/a; ln -s a d/b; cat d/b; mv d/a d/c; "
             "chown 1:1 d/c; chmod 600 d/c; stat -c '%u %a' d/c; tar cf t d; rm -r d; tar xf t; "
             "dd if=/dev/zero bs=4k count=2 2>/dev/null | wc -c; seq 3 | sort -r | head -n 1; "
             "date +%Y | grep -c 2; ps | wc -l > /dev/null; sleep 0; echo x | awk '{print $1}'; "
             "(sleep 100 & kill $!; wait) 2>/dev/null; ls / > /dev/null; id -u"),
      "hello\n1 600\n8192\n3\n1\nx\n0");
}

TEST_P(RuntimeTest, RuntimeDefaultSeccompRefusesNamespacesAndMounts) {
  request_.Context().mutable_seccomp()->set_profile_type(
      runtime::v1::SecurityProfile::RuntimeDefault);
  EXPECT_EQ(Output("unshare -U true 2>&1; mount -t tmpfs none /tmp 2>&1"),
            "unshare: unshare(0x10000000): Operation not permitted\n"
            "mount: permission denied (are you root?) exit 1: ");
}

TEST_P(RuntimeTest, RuntimeDefaultSeccompOpensWithSysAdmin) {
  request_.Context().mutable_seccomp()->set_profile_type(
      runtime::v1::SecurityProfile::RuntimeDefault);
  request_.Context().mutable_capabilities()->add_add_capabilities("SYS_ADMIN");
  EXPECT_EQ(Output("mount -t tmpfs none /tmp && echo mounted"), "mounted");
}

TEST_P(RuntimeTest, LocalhostSeccomp) {
  auto* profile = request_.Context().mutable_seccomp();
  profile->set_profile_type(runtime::v1::SecurityProfile::Localhost);
  profile->set_localhost_ref(bundle_.Write("profile.json", R"({
      "defaultAction": "SCMP_ACT_ALLOW",
      "syscalls": [{"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 13}]})"));
  EXPECT_EQ(Output("mkdir /tmp/x 2>&1; touch /tmp/y && echo made"),
            "mkdir: can't create directory '/tmp/x': Permission denied\nmade");
}

TEST_P(RuntimeTest, Unconfined) {
  EXPECT_EQ(StatusField("Seccomp"), "0");
}

TEST_P(RuntimeTest, OomScoreAndUlimits) {
  request_.container.mutable_linux()->mutable_resources()->set_oom_score_adj(321);
  request_.node.default_ulimits = {"nofile=63:127"};
  EXPECT_EQ(Output("cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn"), "321\n63\n127");
  request_.container.mutable_linux()->mutable_resources()->set_oom_score_adj(-1000);
  EXPECT_EQ(Output("cat /proc/self/oom_score_adj"), std::to_string(LowestOomScoreAdj()));
}

TEST_P(RuntimeTest, Resources) {
  auto* resources = request_.container.mutable_linux()->mutable_resources();
  resources->set_memory_limit_in_bytes(48 << 20);
  resources->set_cpu_shares(512);
  resources->set_cpu_period(100000);
  resources->set_cpu_quota(50000);
  auto* hugepages = resources->add_hugepage_limits();
  hugepages->set_page_size("2MB");
  request_.node.pids_limit = 77;
  const std::string script =
      request_.cgroup_v2 ? "cd /sys/fs/cgroup; cat memory.max pids.max cpu.max"
                         : "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max; "
                           "echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us)";
  EXPECT_EQ(Output(script), "50331648\n77\n50000 100000");
}

TEST_P(RuntimeTest, Devices) {
  runtime::v1::Device* device = request_.container.add_devices();
  device->set_host_path("/dev/zero");
  device->set_container_path("/dev/nothing");
  device->set_permissions("r");
  request_.Context().mutable_capabilities()->add_add_capabilities("MKNOD");
  EXPECT_EQ(Output("head -c 3 /dev/nothing | wc -c; head -c 3 /dev/urandom | wc -c; "
                   "mknod /tmp/kmsg c 1 11; head -c 1 /tmp/kmsg 2>&1"),
            "3\n3\nhead: /tmp/kmsg: Operation not permitted exit 1: ");
}

TEST_P(RuntimeTest, Exec) {
  request_.Context().mutable_run_as_user()->set_value(1000);
  request_.container.add_command("/bin/sleep");
  request_.container.add_args("1000");
  WriteConfig();
  const absl::StatusOr<RunResult> started =
      Call({"run", "--detach", "--bundle", bundle_.path(), id_});
  ASSERT_TRUE(started.ok()) << Text(started.status());
  ASSERT_EQ(started->exit.code, 0) << started->err;
  const absl::StatusOr<std::string> process =
      ExecProcess(config_, {"/bin/sh", "-c", "id -u; id -G; echo $HOSTNAME; exit 7"}, false);
  ASSERT_TRUE(process.ok()) << Text(process.status());
  const std::string file = bundle_.Write("process.json", *process);
  const absl::StatusOr<RunResult> result = Call({"exec", "--process", file, id_});
  ASSERT_TRUE(result.ok()) << Text(result.status());
  EXPECT_EQ(result->exit.code, 7) << result->err;
  EXPECT_EQ(result->out, "1000\n1001 29\npod-host\n");

  runtime::v1::LinuxContainerResources resources;
  resources.set_cpu_shares(2048);
  resources.set_memory_limit_in_bytes(64 << 20);
  const absl::StatusOr<std::string> update = UpdateResources(resources, request_.cgroup_v2);
  ASSERT_TRUE(update.ok()) << Text(update.status());
  const absl::StatusOr<RunResult> updated =
      Call({"update", "--resources", bundle_.Write("update.json", *update), id_});
  ASSERT_TRUE(updated.ok()) << Text(updated.status());
  EXPECT_EQ(updated->exit.code, 0) << updated->err;
}

INSTANTIATE_TEST_SUITE_P(Runtimes, RuntimeTest, testing::Values("crun", "runc"),
                         [](const auto& suite) { return std::string(suite.param); });

}  // namespace
}  // namespace davit::server::spec
