// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <grpcpp/grpcpp.h>
#include <systemd/sd-daemon.h>

#include "base/caps.h"
#include "base/db.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/helper_program.h"
#include "base/log.h"
#include "base/mapped_pages.h"
#include "base/proc.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "image/policy/checker.h"
#include "network/host_ports/host_ports.h"
#include "server/cgroup/cgroup_manager.h"
#include "server/cgroup/isolated_cpus.h"
#include "server/container/exit_watcher.h"
#include "server/container/forbidden_calls.h"
#include "server/events/container_events.h"
#include "server/grpc/davit_service.h"
#include "server/grpc/image_service.h"
#include "server/grpc/runtime_service.h"
#include "server/irq_affinity.h"
#include "server/locks.h"
#include "server/network_upkeep.h"
#include "server/oci/monitor.h"
#include "server/recovery.h"
#include "server/sandbox/sandbox_network.h"
#include "server/selinux/labeller.h"
#include "server/spec/apparmor.h"
#include "server/spec/spec.h"
#include "server/state/state_db.h"
#include "server/stats/cpu_rates.h"
#include "server/stats/writable_usage.h"
#include "server/storage_health.h"
#include "server/streaming/server.h"
#include "server/user_namespaces.h"
#include "server/version.h"

namespace davit::server {
namespace {

using namespace std::chrono_literals;

constexpr size_t kMaxMessageBytes = 64U << 20U;  // two full streams of ExecSync and more
constexpr size_t kMaxCalls = 512;                // handlers that may wait at one time
constexpr auto kUsageRefresh = 10s;
constexpr auto kShutdownGrace = 5s;
constexpr auto kProfileTime = 30s;
constexpr auto kRestartTime = 30s;

// Threads come and go with the load; their arenas would stay. Two are enough for our allocation
// rate and keep an idle daemon small.
void BoundMemory() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);
}

sigset_t BlockSignals() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return stop;
}

absl::Status PrepareDirectories(const config::Config& config) {
  RETURN_IF_ERROR(MakeDirs(config.storage.root));
  RETURN_IF_ERROR(MakeDirs(config.storage.run));
  return MakeDirs(std::filesystem::path(config.socket).parent_path());
}

// Null where nothing is to be labelled.
absl::StatusOr<std::unique_ptr<selinux::Labeller>> MakeLabeller(const config::Runtime& runtime) {
  if (!runtime.selinux) {
    return std::unique_ptr<selinux::Labeller>();
  }
  auto labeller = selinux::Labeller::Create(
      {}, {.category_range = static_cast<unsigned>(runtime.selinux_category_range),
           .confine_host_network = runtime.selinux_confine_host_network});
  if (absl::IsNotFound(labeller.status())) {
    log::Warning("runtime.selinux is on, but {}: containers get no labels",
                 Message(labeller.status()));
    return std::unique_ptr<selinux::Labeller>();
  }
  return labeller;
}

std::string IrqbalanceConfig(const config::Config& config) {
  if (!config.runtime.irqbalance_config.empty()) {
    return config.runtime.irqbalance_config;
  }
  for (const char* path : {"/etc/sysconfig/irqbalance", "/etc/default/irqbalance"}) {
    if (PathExists(path)) {
      return path;
    }
  }
  return "";
}

// irqbalance has no word for reading its configuration again.
absl::Status RestartIrqbalance() {
  if (!PathExists("/run/systemd/system")) {
    return FailedPrecondition("systemd does not run here; restart irqbalance by hand");
  }
  Context ctx(kRestartTime);
  ASSIGN_OR_RETURN(const std::string systemctl, FindProgram("systemctl"));
  ASSIGN_OR_RETURN(const RunResult result,
                   davit::Run(ctx, {.argv = {systemctl, "try-restart", "irqbalance.service"},
                                    .env = MinimalEnv()}));
  return result.exit.code == 0 ? absl::OkStatus()
                               : Internal("systemctl try-restart irqbalance.service: {}",
                                          Printable(Trim(result.err)));
}

IrqAffinity::Options IrqOptions(const config::Config& config) {
  return {.irqbalance_config = IrqbalanceConfig(config),
          .state = JoinPath(config.storage.root, "irq-affinity.json"),
          .restart_irqbalance = RestartIrqbalance};
}

// Everything the handlers use, in the order in which it must be made; destroyed in reverse.
class Daemon {
 public:
  static absl::StatusOr<std::unique_ptr<Daemon>> Create(const config::Config& config) {
    std::unique_ptr<Daemon> daemon(new Daemon(config));
    RETURN_IF_ERROR(daemon->OpenState());
    RETURN_IF_ERROR(daemon->OpenMachine());
    RETURN_IF_ERROR(daemon->Wire());
    RETURN_IF_ERROR(Recover(*daemon->node_));
    // With the key off, what an earlier daemon published goes.
    daemon->host_ports_.Load(config.network.host_ports == "auto"
                                 ? PodsWithOwnHostPorts(*daemon->node_)
                                 : std::vector<network::PublishedPod>());
    return daemon;
  }

  // What need not be done before the first request.
  void StartBackground() {
    health_->CheckAfterLastEnd(*storage_, work_, config_.storage.sync);
    upkeep_.emplace(*node_);
    // Has the plugins asked, so that the first who wants to know is told.
    static_cast<void>(cni_->Ready());
  }
  // After the last request.
  absl::Status OrderlyEnd() { return health_->OrderlyEnd(); }

  // An exit that is noticed while members go away must find nobody to call.
  // Nor may a session ask for work that nobody does any more.
  ~Daemon() {
    upkeep_.reset();
    if (streaming_) {
      streaming_->Stop();
    }
    forbidden_calls_.Detach();
    if (exits_) {
      exits_->Detach();
    }
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  Node& node() { return *node_; }
  Executor& calls() { return calls_; }

 private:
  explicit Daemon(const config::Config& config) : config_(config) {}

  absl::Status OpenState() {
    RETURN_IF_ERROR(PrepareDirectories(config_));
    ASSIGN_OR_RETURN(root_lock_, LockDirectory(config_.storage.root));
    ASSIGN_OR_RETURN(run_lock_, LockDirectory(config_.storage.run));
    RETURN_IF_ERROR(ClaimSocketPath(config_.socket));
    ASSIGN_OR_RETURN(health_, StorageHealth::Create(config_.storage.root));
    ASSIGN_OR_RETURN(db_, Db::Open(JoinPath(config_.storage.root, "davit.db")));
    ASSIGN_OR_RETURN(state_, StateDb::Open(*db_));
    ASSIGN_OR_RETURN(labeller_, MakeLabeller(config_.runtime));
    ASSIGN_OR_RETURN(
        storage_,
        storage::Storage::Open(
            {.root = config_.storage.root,
             .run = config_.storage.run,
             .sync = config_.storage.sync,
             .recipes = config_.storage.recipes,
             .max_layer_bytes = static_cast<uint64_t>(config_.image.max_layer_bytes),
             .max_layer_files = static_cast<uint64_t>(config_.image.max_layer_files),
             .max_layer_ratio = static_cast<uint64_t>(config_.image.max_layer_ratio),
             .layer_devices = config_.image.layer_devices,
             .mount_options = config_.storage.mount_options,
             .rootfs_size = static_cast<uint64_t>(config_.storage.rootfs_size),
             .unpack_path = config_.storage.unpack_path,
             .additional_stores = config_.storage.additional_stores,
             .selinux_volume_label = labeller_ ? labeller_->ImageVolumeLabel() : std::string()},
            *db_));
    return absl::OkStatus();
  }

  absl::Status OpenMachine() {
    ASSIGN_OR_RETURN(loop_, EventLoop::Create());
    ASSIGN_OR_RETURN(cgroups_, CgroupFs::Detect());
    ASSIGN_OR_RETURN(cgroup_manager_,
                     CgroupManager::Create(config_.runtime.cgroup_manager, *cgroups_));
    cgroup_moves_ = std::make_unique<CgroupMoves>(OwnCgroupProcs(*cgroups_).value_or(""));
    Context ctx(kProfileTime);
    if (const absl::Status loaded = spec::LoadDefaultAppArmorProfile(ctx); !loaded.ok()) {
      log::Warning("{}; containers run without a profile", Message(loaded));
    }
    if (const std::string& classes = config_.runtime.blockio_config; !classes.empty()) {
      log::IfError(spec::CheckBlockIoFile(classes), "offer classes of block I/O");
    }
    ASSIGN_OR_RETURN(runtimes_, oci::RuntimeTable::Create(config_, *cgroups_));
    ASSIGN_OR_RETURN(monitor_path_,
                     FindHelperProgram(oci::kMonitorProgram, config_.runtime.monitor_path));
    ASSIGN_OR_RETURN(own_capabilities_, OwnCapabilities());
    ASSIGN_OR_RETURN(cni_, network::Cni::Create(config_.network, config_.storage.root, &work_));
    ASSIGN_OR_RETURN(auto signatures, image::SignatureStore::Open(*db_));
    ASSIGN_OR_RETURN(policy_, image::PolicyChecker::Create(
                                  config_.image, JoinPath(config_.storage.run, "signatures"),
                                  std::move(signatures)));
    log::IfError(policy_->Sweep(*storage_), "forget signatures of images that are gone");
    ASSIGN_OR_RETURN(
        puller_, image::Puller::Create(config_.image, *storage_, *policy_, pulls_, loop_.get()));
    return absl::OkStatus();
  }

  absl::Status Wire() {
    exits_ = std::make_unique<ExitWatcher>();
    irqs_.emplace(IrqOptions(config_));
    isolated_cpus_.emplace(*cgroups_);
    usage_ = std::make_unique<WritableUsage>(*storage_, work_, kUsageRefresh);
    ASSIGN_OR_RETURN(streaming_, streaming::Server::Create(config_.streaming, work_));
    node_.reset(new Node{.config = config_,
                         .db = *db_,
                         .loop = *loop_,
                         .executor = work_,
                         .cgroups = *cgroups_,
                         .cgroup_manager = *cgroup_manager_,
                         .cgroup_moves = *cgroup_moves_,
                         .storage = *storage_,
                         .policy = *policy_,
                         .puller = *puller_,
                         .cni = *cni_,
                         .runtimes = *runtimes_,
                         .state = *state_,
                         .exits = *exits_,
                         .forbidden_calls = forbidden_calls_,
                         .usage = *usage_,
                         .cpu_rates = cpu_rates_,
                         .events = events_,
                         .streaming = *streaming_,
                         .sandboxes = sandboxes_,
                         .containers = containers_,
                         .run_sandbox_flights = run_sandbox_flights_,
                         .create_container_flights = create_container_flights_,
                         .monitor_path = monitor_path_,
                         .own_capabilities = own_capabilities_,
                         .lowest_oom_score_adj = LowestOomScoreAdj(),
                         .health = health_.get(),
                         .host_ports = &host_ports_,
                         .selinux = labeller_.get(),
                         .user_namespaces = ProbeUserNamespaces(config_.storage.run),
                         .irqs = &*irqs_,
                         .isolated_cpus = &*isolated_cpus_});
    log::IfError(node_->user_namespaces, "offer user namespaces to pods");
    exits_->Attach(*node_);
    forbidden_calls_.Attach(*node_);
    return absl::OkStatus();
  }

  const config::Config& config_;
  UniqueFd root_lock_;
  UniqueFd run_lock_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<StateDb> state_;
  std::unique_ptr<selinux::Labeller> labeller_;
  std::unique_ptr<storage::Storage> storage_;
  std::unique_ptr<EventLoop> loop_;
  std::optional<CgroupFs> cgroups_;
  std::unique_ptr<CgroupManager> cgroup_manager_;
  std::unique_ptr<CgroupMoves> cgroup_moves_;
  std::optional<oci::RuntimeTable> runtimes_;
  std::string monitor_path_;
  std::set<std::string> own_capabilities_;
  std::unique_ptr<network::Cni> cni_;
  network::HostPorts host_ports_;
  Store<Sandbox> sandboxes_{"sandbox"};
  Store<Container> containers_{"container"};
  std::unique_ptr<ExitWatcher> exits_;
  ForbiddenCallsWatcher forbidden_calls_;
  std::unique_ptr<WritableUsage> usage_;
  CpuRates cpu_rates_;
  std::optional<IrqAffinity> irqs_;
  std::optional<IsolatedCpus> isolated_cpus_;
  ContainerEvents events_;
  std::unique_ptr<image::PolicyChecker> policy_;
  std::unique_ptr<streaming::Server> streaming_;
  std::unique_ptr<image::Puller> puller_;
  std::unique_ptr<Node> node_;
  // One executor for each level of waiting, so that nobody waits for work queued behind himself:
  // calls wait for flights, flights for work, work for nobody. Pulls have their own two levels.
  Executor work_{static_cast<size_t>(config_.max_threads)};
  Executor pulls_{kMaxCalls};
  Executor flights_{kMaxCalls};
  SingleFlight<std::string> run_sandbox_flights_{flights_};
  SingleFlight<std::string> create_container_flights_{flights_};
  Executor calls_{kMaxCalls};
  std::optional<NetworkUpkeep> upkeep_;
  std::unique_ptr<StorageHealth> health_;  // its check uses all of the above
};

absl::StatusOr<std::unique_ptr<grpc::Server>> Listen(const std::string& socket,
                                                     const std::vector<grpc::Service*>& services) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddListeningPort("unix://" + socket, grpc::InsecureServerCredentials());
  for (grpc::Service* service : services) {
    builder.RegisterService(service);
  }
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) {
    return Unavailable("listen on {}: gRPC could not bind it; is its directory writable?", socket);
  }
  if (::chmod(socket.c_str(), 0660) != 0) {
    return ErrnoStatus(errno, "set the mode of " + socket);
  }
  return server;
}

// The signal that ends the daemon; until then SIGHUP reads again what is not in the configuration.
int AwaitStop(const sigset_t& signals, Daemon& daemon) {
  while (true) {
    int number = 0;
    sigwait(&signals, &number);
    if (number != SIGHUP) {
      return number;
    }
    log::Info("SIGHUP: reading the registries again");
    static_cast<void>(daemon.node().puller.Reload());  // logged and kept there
  }
}

}  // namespace

absl::Status Serve(const config::Config& config) {
  BoundMemory();
  const sigset_t signals = BlockSignals();
  RETURN_IF_ERROR(failpoint::LoadFromEnvironment());
  ASSIGN_OR_RETURN(auto daemon, Daemon::Create(config));
  RuntimeServiceImpl runtime_service(daemon->node(), daemon->calls());
  ImageServiceImpl image_service(daemon->node(), daemon->calls());
  DavitServiceImpl davit_service(daemon->node(), daemon->calls());
  ASSIGN_OR_RETURN(auto server,
                   Listen(config.socket, {&runtime_service, &image_service, &davit_service}));
  log::IfError(DropMappedPages(), "give up the pages of the start");
  malloc_trim(0);
  log::Info("davit {} serves on {} with runtime {} on cgroup {}", kVersion, config.socket,
            daemon->node().runtimes.default_name(), CgroupModeName(daemon->node().cgroups.mode()));
  sd_notify(0, "READY=1");
  daemon->StartBackground();

  const int signal_number = AwaitStop(signals, *daemon);
  sd_notify(0, "STOPPING=1");
  log::Info("signal {}: davit stops serving; containers go on", signal_number);
  daemon->node().events.Close();  // streams without an end would keep the server up
  server->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  server->Wait();
  log::IfError(daemon->OrderlyEnd(), "mark the orderly end");
  return RemoveFile(config.socket);
}

}  // namespace davit::server
