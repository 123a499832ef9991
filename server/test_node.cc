// SPDX-License-Identifier: Apache-2.0
#include "server/test_node.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "base/caps.h"
#include "base/db.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/mount.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "image/policy/checker.h"
#include "image/reference.h"
#include "server/container/container_rpcs.h"
#include "server/container/exit_watcher.h"
#include "server/container/forbidden_calls.h"
#include "server/events/container_events.h"
#include "server/paths.h"
#include "server/recovery.h"
#include "server/sandbox/sandbox_rpcs.h"
#include "server/state/state_db.h"
#include "server/stats/cpu_rates.h"
#include "server/stats/writable_usage.h"
#include "server/streaming/server.h"

namespace davit::server {
namespace {

using namespace std::chrono_literals;
namespace v1 = runtime::v1;

constexpr char kBusybox[] = "/bin/busybox";
constexpr char kImageName[] = "docker.io/library/busybox:test";

// One file for each attached sandbox.
class FileCni final : public network::Cni {
 public:
  explicit FileCni(std::string dir) : dir_(std::move(dir)) {}

  absl::Status Ready() override { return absl::OkStatus(); }
  std::string DescribeJson() override { return "{}"; }
  absl::StatusOr<network::NetworkResult> Add(Context&, const network::PodNetwork& pod) override {
    RETURN_IF_ERROR(WriteFileAtomic(dir_ + "/" + pod.sandbox_id, pod.netns_path));
    if (PathExists(dir_ + ".broken-ADD")) {
      return Internal("plugin bridge: no address is free");
    }
    return network::NetworkResult{.ips = {"10.1.2.3"}, .json = "{}"};
  }
  absl::Status Del(Context&, const network::PodNetwork& pod) override {
    if (PathExists(dir_ + ".broken-DEL")) {
      return Internal("plugin bridge: cannot delete");
    }
    return RemoveFile(dir_ + "/" + pod.sandbox_id);
  }
  absl::StatusOr<std::vector<std::string>> CachedSandboxes() override { return ListDir(dir_); }

 private:
  std::string dir_;
};

class NoPuller final : public image::Puller {
 public:
  absl::StatusOr<std::vector<std::string>> Names(const std::string& name) override {
    ASSIGN_OR_RETURN(const auto reference, image::Reference::Parse(name));
    return std::vector<std::string>{reference.canonical()};
  }
  absl::Status Reload() override { return absl::OkStatus(); }
  [[nodiscard]] absl::Status reload_error() const override { return absl::OkStatus(); }
  absl::StatusOr<image::PullResult> Pull(Context&, const image::PullRequest& request,
                                         const image::ProgressFn&) override {
    return Unavailable("no registry has {}", request.name);
  }
};

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    std::abort();
  }
  return *std::move(value);
}

void Must(const absl::Status& status) {
  ASSERT_TRUE(status.ok()) << status;
}

std::string BusyboxTar(const std::string& dir) {
  const std::string root = dir + "/image";
  for (const char* path : {"/bin", "/etc", "/tmp", "/proc", "/sys", "/dev"}) {
    Must(MakeDirs(root + path, 0755));
  }
  Must(WriteFileAtomic(root + "/bin/busybox", Must(ReadFile(kBusybox)), 0755));
  for (const char* applet : {"sh", "sleep", "cat", "echo", "true", "kill", "ps", "hostname"}) {
    EXPECT_EQ(symlink("busybox", (root + "/bin/" + applet).c_str()), 0);
  }
  Must(WriteFileAtomic(root + "/etc/passwd", "root:x:0:0:root:/:/bin/sh\n", 0644));
  Context ctx(30s);
  auto tar = Must(Run(
      ctx, {.argv = {Must(FindProgram("tar")), "-C", root, "-cf", "-", "."}, .env = MinimalEnv()},
      {.max_output = 64U << 20U}));
  EXPECT_EQ(tar.exit.code, 0) << tar.err;
  Must(RemoveTree(root));
  return tar.out;
}

}  // namespace

struct TestMachine::Daemon {
  std::unique_ptr<Db> db;
  std::unique_ptr<StateDb> state;
  std::unique_ptr<storage::Storage> storage;
  std::unique_ptr<EventLoop> loop;
  std::optional<CgroupFs> cgroups;
  std::unique_ptr<CgroupManager> cgroup_manager;
  CgroupMoves cgroup_moves{""};
  std::optional<oci::RuntimeTable> runtimes;
  std::unique_ptr<FileCni> cni;
  std::unique_ptr<image::PolicyChecker> policy;
  NoPuller puller;
  Store<Sandbox> sandboxes{"sandbox"};
  Store<Container> containers{"container"};
  ExitWatcher exits;
  ForbiddenCallsWatcher forbidden_calls;
  std::optional<WritableUsage> usage;
  CpuRates cpu_rates;
  ContainerEvents events;
  std::unique_ptr<streaming::Server> streaming;
  std::optional<Node> node;
  Executor work{8};
  Executor flights{8};
  SingleFlight<std::string> run_flights{flights};
  SingleFlight<std::string> create_flights{flights};

  ~Daemon() {
    if (streaming) {
      streaming->Stop();
    }
    forbidden_calls.Detach();
    exits.Detach();
  }
};

std::string WhyNoMachine() {
  if (geteuid() != 0) {
    return "containers need root";
  }
  if (!PathExists(kBusybox)) {
    return "busybox-static is not installed";
  }
  const auto cgroups = CgroupFs::Detect();
  if (!cgroups.ok()) {
    return Message(cgroups.status());
  }
  return Message(oci::RuntimeTable::Create(config::Config{}, *cgroups).status());
}

TestMachine::TestMachine(const std::string& dir) : owner_(dir.empty()), dir_(dir) {
  if (owner_) {
    char pattern[] = "/tmp/davit-node-XXXXXX";
    dir_ = mkdtemp(pattern);
  }
  const std::string name = dir_.substr(dir_.rfind('/') + 1);
  config_.storage.root = dir_ + "/root";
  config_.storage.run = dir_ + "/run";
  config_.storage.sync = false;
  config_.runtime.default_cgroup_parent = "/" + name;
  config_.runtime.log_directory = dir_ + "/log";
  for (const std::string& path :
       {config_.storage.root, config_.storage.run, dir_ + "/cni", dir_ + "/log"}) {
    Must(MakeDirs(path));
  }
  Start();
  if (owner_) {
    MakeImage();
  }
}

TestMachine::~TestMachine() {
  if (!owner_) {
    End();
    return;
  }
  failpoint::Load("").IgnoreError();
  RepairNetwork("ADD");
  RepairNetwork("DEL");
  if (!daemon_) {
    Start();
  }
  for (const auto& sandbox : daemon_->sandboxes.List()) {
    RemovePod(sandbox->id());
  }
  EXPECT_TRUE(daemon_->cgroups->Remove(config_.runtime.default_cgroup_parent).ok());
  End();
  EXPECT_TRUE(UnmountAllBelow(dir_).ok());
  EXPECT_TRUE(RemoveTree(dir_).ok());
}

void TestMachine::Start() {
  End();
  daemon_ = std::make_unique<Daemon>();
  Daemon& d = *daemon_;
  d.db = Must(Db::Open(config_.storage.root + "/davit.db"));
  d.state = Must(StateDb::Open(*d.db));
  d.storage = Must(storage::Storage::Open({.root = config_.storage.root,
                                           .run = config_.storage.run,
                                           .sync = false,
                                           .mount_options = {}},
                                          *d.db));
  config_.image.signature_policy = dir_ + "/policy.json";
  Must(WriteFileAtomic(config_.image.signature_policy,
                       R"({"default":[{"type":"insecureAcceptAnything"}]})"));
  d.policy = Must(image::PolicyChecker::Create(config_.image, dir_ + "/signatures", nullptr));
  d.loop = Must(EventLoop::Create());
  d.cgroups = Must(CgroupFs::Detect());
  d.cgroup_manager = Must(CgroupManager::Create("cgroupfs", *d.cgroups));
  d.runtimes = Must(oci::RuntimeTable::Create(config_, *d.cgroups));
  d.cni = std::make_unique<FileCni>(dir_ + "/cni");
  d.usage.emplace(*d.storage, d.work, 1s);
  d.streaming = Must(streaming::Server::Create(config_.streaming, d.work));
  d.node.emplace(Node{.config = config_,
                      .db = *d.db,
                      .loop = *d.loop,
                      .executor = d.work,
                      .cgroups = *d.cgroups,
                      .cgroup_manager = *d.cgroup_manager,
                      .cgroup_moves = d.cgroup_moves,
                      .storage = *d.storage,
                      .policy = *d.policy,
                      .puller = d.puller,
                      .cni = *d.cni,
                      .runtimes = *d.runtimes,
                      .state = *d.state,
                      .exits = d.exits,
                      .forbidden_calls = d.forbidden_calls,
                      .usage = *d.usage,
                      .cpu_rates = d.cpu_rates,
                      .events = d.events,
                      .streaming = *d.streaming,
                      .sandboxes = d.sandboxes,
                      .containers = d.containers,
                      .run_sandbox_flights = d.run_flights,
                      .create_container_flights = d.create_flights,
                      .monitor_path = DAVIT_CONMON_PATH,
                      .own_capabilities = Must(OwnCapabilities()),
                      .lowest_oom_score_adj = LowestOomScoreAdj()});
  d.exits.Attach(*d.node);
  d.forbidden_calls.Attach(*d.node);
  Must(Recover(*d.node));
}

void TestMachine::End() {
  daemon_.reset();
}

Node& TestMachine::node() {
  return *daemon_->node;
}

void TestMachine::MakeImage() {
  const std::string tar = BusyboxTar(dir_);
  auto writer = Must(daemon_->storage->NewLayer());
  Must(writer->Write({reinterpret_cast<const uint8_t*>(tar.data()), tar.size()}));
  auto layer = Must(writer->Finish(Digest(), Digest()));
  storage::ImageRecord image;
  image.config_json = fmt::format(
      R"({{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/bin"],"Cmd":["sh"]}},)"
      R"("rootfs":{{"type":"layers","diff_ids":["{}"]}}}})",
      layer->info().diff_id.text());
  image.manifest_json = "{}";
  image.id = Digest::Sha256Of(image.config_json).hex();
  image.tags = {kImageName};
  image.layers = {layer->info().diff_id};
  Must(daemon_->storage->CommitImage(image, {layer}));
}

void TestMachine::BreakNetwork(const std::string& verb) const {
  Must(WriteFileAtomic(dir_ + "/cni.broken-" + verb, ""));
}
void TestMachine::RepairNetwork(const std::string& verb) const {
  Must(RemoveFile(dir_ + "/cni.broken-" + verb));
}

std::vector<std::string> TestMachine::Leftovers() {
  std::vector<std::string> left;
  const auto add = [&left](const std::string& kind, const std::vector<std::string>& names) {
    for (const auto& name : names) {
      left.push_back(kind + " " + name);
    }
  };
  const auto list = [](const std::string& dir) {
    return ListDir(dir).value_or(std::vector<std::string>());
  };
  for (const auto& mount : Must(MountsBelow(config_.storage.run))) {
    left.push_back("mount " + mount.target);
  }
  add("run/sandboxes", list(config_.storage.run + "/sandboxes"));
  add("run/containers", list(config_.storage.run + "/containers"));
  for (const auto& runtime : list(config_.storage.run + "/runtime")) {
    add("runtime state", list(config_.storage.run + "/runtime/" + runtime));
  }
  add("root/containers", list(config_.storage.root + "/containers"));
  add("rootfs", daemon_->storage->ListRootfs());
  add("network", list(dir_ + "/cni"));
  // Every hierarchy: the OCI runtime makes the cgroup in those without a controller, too.
  const std::string parent = config_.runtime.default_cgroup_parent;
  for (const auto& hierarchy : list("/sys/fs/cgroup")) {
    for (const auto& path : {hierarchy + parent, parent}) {
      for (const auto& name : list("/sys/fs/cgroup/" + path)) {
        if (name.starts_with("pod")) {
          left.push_back("cgroup " + path + "/" + name);
        }
      }
    }
  }
  const auto rows = Must(daemon_->state->LoadAll());
  for (const auto& row : rows.sandboxes) {
    left.push_back("sandbox row " + row.id());
  }
  for (const auto& row : rows.containers) {
    left.push_back("container row " + row.id());
  }
  return left;
}

std::string TestMachine::RunPod(const v1::PodSandboxConfig& config) {
  Context ctx(60s);
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  const auto response = RunPodSandbox(node(), ctx, request);
  EXPECT_TRUE(response.ok()) << response.status();
  return response.ok() ? response->pod_sandbox_id() : "";
}

std::string TestMachine::Create(const std::string& pod, const v1::ContainerConfig& config) {
  Context ctx(60s);
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod);
  *request.mutable_config() = config;
  const auto response = CreateContainer(node(), ctx, request);
  EXPECT_TRUE(response.ok()) << response.status();
  return response.ok() ? response->container_id() : "";
}

std::string TestMachine::CreateShell(const std::string& pod, const std::string& name,
                                     const std::string& script) {
  return Create(pod, ShellConfig(name, script));
}

void TestMachine::StartContainer(const std::string& id) {
  Context ctx(60s);
  v1::StartContainerRequest request;
  request.set_container_id(id);
  const auto response = server::StartContainer(node(), ctx, request);
  EXPECT_TRUE(response.ok()) << response.status();
}

std::string TestMachine::StartShell(const std::string& pod, const std::string& name,
                                    const std::string& script) {
  const std::string id = CreateShell(pod, name, script);
  StartContainer(id);
  return id;
}

void TestMachine::RemovePod(const std::string& id) {
  Context ctx(60s);
  v1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  const auto response = RemovePodSandbox(node(), ctx, request);
  EXPECT_TRUE(response.ok()) << response.status();
}

std::shared_ptr<const Container::Record> TestMachine::Record(const std::string& container) {
  return Must(node().containers.Find(container))->record();
}
std::shared_ptr<const Sandbox::Record> TestMachine::PodRecord(const std::string& pod) {
  return Must(node().sandboxes.Find(pod))->record();
}

v1::PodSandboxConfig PodConfig(const std::string& name) {
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("uid-" + name);
  config.set_hostname(name);
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      v1::CONTAINER);
  return config;
}

v1::ContainerConfig ShellConfig(const std::string& name, const std::string& script) {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image("busybox:test");
  for (const char* word : {"/bin/sh", "-c"}) {
    config.add_command(word);
  }
  config.add_command(script);
  config.set_log_path(name + "/0.log");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      v1::CONTAINER);
  return config;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

}  // namespace davit::server
