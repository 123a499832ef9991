// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <stdexcept>

#include <fmt/format.h>

#include "base/cgroup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mount.h"
#include "test/e2e/isolation.h"
#include "test/e2e/wait.h"

namespace davit::e2e {
namespace {

constexpr char kConfig[] = R"(socket: {dir}/davit.sock
log_level: debug
runtime:
  cgroup_manager: {manager}
  default_cgroup_parent: {cgroup}
  log_directory: {dir}/logs
  lean_mounts_from: 0
storage:
  root: {dir}/root
  run: {dir}/run
image:
  registries_conf: {dir}/registries.conf
  registries_conf_dir: {dir}/registries.conf.d
  short_name_aliases: {dir}/short-name-aliases.conf
  certs_dirs: [{dir}/certs.d]
  hosts_dirs: [{dir}/hosts.d]
  auth_file: {dir}/auth.json
  namespaced_auth_dir: {dir}/auth
network:
  config_dir: {dir}/net.d
  plugin_dirs: [{dir}/cni-bin, /usr/lib/cni]
  cache_dir: {dir}/cni-cache
  default_bridge_name: {bridge}
  default_bridge_subnet: 10.123.0.0/24
  default_bridge_ipam_dir: {dir}/leases
)";

// The socket of a daemon that was killed is there and refuses. gRPC would wait seconds before it
// tries again.
bool Listens(const std::string& socket_path) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  socket_path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

int NextNumber() {
  static std::atomic<int> number{0};
  return ++number;
}

}  // namespace

std::string DavitPath() {
  return DAVIT_PATH;
}

TestDaemon::TestDaemon() {
  const int number = NextNumber();
  dir_ = fmt::format("{}/{}", ProgramDir(), number);
  cgroup_ = fmt::format("{}/{}", ProgramCgroup(), number);
  if (BySystemd()) {
    const std::string stem = ProgramCgroup().substr(0, ProgramCgroup().rfind('.'));
    cgroup_ = fmt::format("{}{}-{}.slice", ProgramCgroup(), stem, number);
  }
  for (const auto& made : {dir_, logs(), net_d(), cni_bin(), leases()}) {
    Must(MakeDirs(made, 0755));
  }
}

TestDaemon::~TestDaemon() {
  if (running()) {
    Kill();
  }
  // After a failed test: a busy cgroup or mount must not hide what the test said.
  if (const auto cgroups = CgroupFs::Detect(); cgroups.ok()) {
    log::IfError(cgroups->KillAll(cgroup_), "kill what a test left");
    if (BySystemd()) {
      StopSlice(cgroup_);
    }
    log::IfError(cgroups->Remove(cgroup_), "remove the cgroup of a test");
  }
  log::IfError(UnmountAllBelow(dir_), "unmount what a test left");
  log::IfError(RemoveTree(dir_), "remove the directory of a test");
}

void TestDaemon::WriteConfig(const Options& options) const {
  Must(WriteFileAtomic(config_file(),
                       fmt::format(kConfig, fmt::arg("dir", dir_), fmt::arg("cgroup", cgroup_),
                                   fmt::arg("manager", BySystemd() ? "systemd" : "cgroupfs"),
                                   fmt::arg("bridge", kBridge))));
  const std::string drop_ins = dir_ + "/davit.d";
  Must(RemoveTree(drop_ins));
  if (!options.drop_in.empty()) {
    Must(MakeDirs(drop_ins));
    Must(WriteFileAtomic(drop_ins + "/10-test.yaml", options.drop_in));
  }
}

SpawnOptions TestDaemon::Command(const Options& options, int log_fd) const {
  SpawnOptions spawn;
  spawn.argv = {DavitPath(), "serve", "--config", config_file()};
  spawn.env = MinimalEnv();
  if (!options.failpoints.empty()) {
    spawn.env.push_back("DAVIT_FAILPOINTS=" + options.failpoints);
  }
  if (log_fd >= 0) {
    spawn.fds = {{.parent_fd = log_fd, .child_fd = 1}, {.parent_fd = log_fd, .child_fd = 2}};
  }
  return spawn;
}

void TestDaemon::Start(const Options& options) {
  WriteConfig(options);
  const UniqueFd log = Must(Open(dir_ + "/log", O_WRONLY | O_CREAT | O_APPEND));
  process_ = Must(Spawn(Command(options, log.get())));
  Await();
}

// Its own words if it ends before it answers.
void TestDaemon::Await() {
  bool ended = false;
  const bool answers = Eventually([&] {
    Context at_once(0s);
    ended = process_.Wait(at_once).ok();
    if (ended || !Listens(socket())) {
      return ended;
    }
    // It may be the socket of the daemon before, which a child of it holds up to its exec.
    client_ = std::make_unique<Client>(socket());
    return client_->Version().ok();
  });
  if (ended || !answers) {
    if (ended) {
      process_ = Process();
    }
    throw std::runtime_error((ended ? "the daemon ended: " : "the daemon does not answer: ") +
                             Log());
  }
}

RunResult TestDaemon::RunToEnd(const Options& options) {
  WriteConfig(options);
  Context ctx(20s);
  return Must(Run(ctx, Command(options, -1)), "run the daemon to its end");
}

void TestDaemon::Kill() {
  Must(process_.Kill(SIGKILL));
  Context ctx(20s);
  Must(process_.Wait(ctx).status());
  process_ = Process();
}

int TestDaemon::Stop() {
  // Without calls nobody here would read that the server says goodbye; it would wait in vain.
  client_.reset();
  Must(process_.Kill(SIGTERM));
  Context ctx(20s);
  const ExitStatus exit = Must(process_.Wait(ctx), "the daemon does not end after SIGTERM");
  process_ = Process();
  return exit.code;
}

bool TestDaemon::AwaitEnd() {
  Context ctx(20s);
  if (!process_.Wait(ctx).ok()) {
    return false;
  }
  process_ = Process();
  return true;
}

std::string TestDaemon::ParentCgroup(const std::string& name) const {
  if (!BySystemd()) {
    return cgroup_ + "/" + name;
  }
  const std::string stem = cgroup_.substr(0, cgroup_.rfind('.'));
  return fmt::format("{}{}-{}.slice", cgroup_, stem.substr(stem.rfind('/')), name);
}

std::string TestDaemon::PodCgroup(const std::string& pod_id) const {
  return ParentCgroup("pod" + pod_id);
}

std::string TestDaemon::ContainerCgroup(const std::string& pod_id, const std::string& id) const {
  return PodCgroup(pod_id) + "/" + (BySystemd() ? "davit-" + id + ".scope" : id);
}

std::string TestDaemon::ProcessCgroup(const std::string& pod_id, const std::string& id) const {
  const std::string cgroup = ContainerCgroup(pod_id, id);
  const std::string inner = cgroup + "/container";
  return Must(CgroupFs::Detect()).Exists(inner) ? inner : cgroup;
}

std::string TestDaemon::Log() const {
  return ReadFile(dir_ + "/log").value_or("");
}

}  // namespace davit::e2e
