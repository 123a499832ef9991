// SPDX-License-Identifier: Apache-2.0
//
// Pod networks by CNI plugins (spec 1.1.0, conflists and single confs back to 0.3.1): executes
// the plugins of the configured network, caches results on disk in libcni's layout, and calls DEL
// always, from the cached result, even where the namespace is gone. Plugin output is never trusted:
// size limited, parsed, checked. Thread-safe; calls for different pods run side by side.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/executor.h"
#include "config/config.h"

namespace davit::network {

struct PortMapping {
  int host_port = 0;
  int container_port = 0;
  std::string protocol;  // "tcp" "udp" "sctp"
  std::string host_ip;
};

struct PodNetwork {
  std::string sandbox_id;
  std::string netns_path;  // the pin; may no longer exist at Del
  std::string name;
  std::string name_space;
  std::string uid;
  std::string cgroup_path;
  std::vector<PortMapping> port_mappings;
  std::map<std::string, std::string> annotations;  // kubernetes.io/{in,e}gress-bandwidth are read
  std::vector<std::string> dns_servers;
  std::vector<std::string> dns_searches;
  std::vector<std::string> dns_options;
  // What the pod asks for, for plugins that declare the capabilities ips, mac and aliases.
  std::vector<std::string> static_ips;  // with or without prefix length
  std::string mac;
  std::vector<std::string> aliases;
};

struct NetworkResult {
  std::vector<std::string> ips;  // of the pod's interface, without prefix length, in order
  std::string json;              // the CNI result, for verbose status
  bool publishes_ports = false;  // a plugin of the network was given the port mappings
};

class Cni {
 public:
  // `owner` marks what is cached (e.g. the daemon's root directory): daemons that share a cache
  // directory never see each other's sandboxes in CachedSandboxes(). InvalidArgument names a
  // setting that cannot work. Plugins are asked for their status on `background`, which must end
  // before the object; without one, by whoever calls Ready().
  static absl::StatusOr<std::unique_ptr<Cni>> Create(const config::Network& config,
                                                     const std::string& owner = "",
                                                     Executor* background = nullptr);
  virtual ~Cni() = default;

  // OK when a pod could get a network now; else FailedPrecondition whose message is fit for the
  // NetworkReady condition (no configuration, broken file and line, plugin binary missing, too old
  // for the network's version, or not ready by its own STATUS). Follows changes of the directory
  // without a restart; cheap (cached by directory state). Never waits for a plugin: each call has
  // the plugins asked again if their answer is some seconds old, and tells the last one. A network
  // of version 1.1 whose plugins have not answered yet is not ready.
  virtual absl::Status Ready() = 0;
  // Name of the network in use, its plugins and its file, as JSON for verbose status.
  virtual std::string DescribeJson() = 0;

  // Brings up loopback in process, runs the ADD chain, caches the result. On failure what was added
  // is undone by DEL. Unavailable if no network is configured; DeadlineExceeded names the plugin
  // that hung (it is killed); Internal carries the plugin's own message.
  virtual absl::StatusOr<NetworkResult> Add(Context& ctx, const PodNetwork& pod) = 0;
  // DEL chain in reverse from the cached configuration and result; idempotent; drops the cache when
  // all plugins succeeded.
  virtual absl::Status Del(Context& ctx, const PodNetwork& pod) = 0;
  // Sandbox IDs that have cached results of networks that Davit added: recovery deletes unknown
  // ones.
  virtual absl::StatusOr<std::vector<std::string>> CachedSandboxes() = 0;
  // CHECK chain with the cached result: is the pod's network still what ADD made? The first
  // plugin's complaint. OK where there is nothing to ask: no record of a finished ADD, a version
  // before 0.4.0, `disableCheck`.
  virtual absl::Status Check(Context& /*ctx*/, const PodNetwork& /*pod*/) {
    return absl::OkStatus();
  }
  // GC (1.1): tells each plugin of the network in use which attachments there are, so that it gives
  // back what it holds for others. All plugins are asked; the first failure is returned. Nothing to
  // do is success: an older version, `disableGC`, no network. As the specification demands no ADD
  // or DEL runs meanwhile: Unavailable at once if one runs now; those that come wait for the end,
  // half a minute at most.
  virtual absl::Status CollectGarbage(Context& /*ctx*/) { return absl::OkStatus(); }
  // Changes with the network in use; "" without one.
  virtual std::string Fingerprint() { return ""; }
};

}  // namespace davit::network
