// SPDX-License-Identifier: Apache-2.0
//
// Everything a handler may use, wired once by server.cc and passed by reference: no globals, no
// singletons. Handlers are plain functions `StatusOr<Response> Rpc(Node&, Context&, const
// Request&)`, one for each file, testable without gRPC.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/cgroup.h"
#include "base/cgroup_moves.h"
#include "base/event_loop.h"
#include "base/executor.h"
#include "base/single_flight.h"
#include "config/config.h"
#include "image/puller.h"
#include "network/cni.h"
#include "server/cgroup/cgroup_manager.h"
#include "server/container/container.h"
#include "server/oci/runtime.h"
#include "server/sandbox/sandbox.h"
#include "server/store.h"
#include "storage/storage.h"

namespace davit {
class Db;
namespace image {
class PolicyChecker;  // image/policy/checker.h
}
namespace network {
class HostPorts;  // network/host_ports/host_ports.h
}
}  // namespace davit

namespace davit::server::streaming {
class Server;  // server/streaming/server.h
}

namespace davit::server::selinux {
class Labeller;  // server/selinux/labeller.h
}

namespace davit::server {

class StateDb;                // server/state/state_db.h
class ExitWatcher;            // server/container/exit_watcher.h
class ForbiddenCallsWatcher;  // server/container/forbidden_calls.h
class ContainerEvents;        // server/events/container_events.h
class IrqAffinity;            // server/irq_affinity.h
class IsolatedCpus;           // server/cgroup/isolated_cpus.h
class CpuRates;               // server/stats/cpu_rates.h
class StorageHealth;          // server/storage_health.h
class WritableUsage;          // server/stats/writable_usage.h

struct Node {
  const config::Config& config;
  Db& db;
  EventLoop& loop;
  Executor& executor;
  const CgroupFs& cgroups;
  const CgroupManager& cgroup_manager;
  CgroupMoves& cgroup_moves;
  storage::Storage& storage;
  const image::PolicyChecker& policy;
  image::Puller& puller;
  network::Cni& cni;
  const oci::RuntimeTable& runtimes;
  StateDb& state;
  ExitWatcher& exits;
  ForbiddenCallsWatcher& forbidden_calls;
  WritableUsage& usage;
  CpuRates& cpu_rates;
  ContainerEvents& events;
  streaming::Server& streaming;
  Store<Sandbox>& sandboxes;
  Store<Container>& containers;
  SingleFlight<std::string>& run_sandbox_flights;       // by sandbox name; the result is the ID
  SingleFlight<std::string>& create_container_flights;  // by container name
  std::string monitor_path;
  std::set<std::string> own_capabilities;
  int lowest_oom_score_adj;
  const StorageHealth* health = nullptr;
  network::HostPorts* host_ports = nullptr;  // null: Davit publishes none
  selinux::Labeller* selinux = nullptr;      // null: nothing is labelled
  absl::Status user_namespaces = {};         // why pods can have none of their own here
  IrqAffinity* irqs = nullptr;               // null, in tests: the node's are left alone
  IsolatedCpus* isolated_cpus = nullptr;
};

}  // namespace davit::server
