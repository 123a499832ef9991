// SPDX-License-Identifier: Apache-2.0
//
// The whole configuration as one plain struct with its defaults: Davit runs without a file. Read
// from YAML by config/load.h; `davit config` prints it complete with comments. Immutable once the
// daemon has started (live reload comes with its own issue).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace davit::config {

// One OCI runtime, named by the pod's runtime_handler.
struct RuntimeHandler {
  std::string path;  // absolute, or a name looked up in PATH
  std::string root;  // its state directory; "" means <run>/runtime/<name>
  std::vector<std::string> allowed_annotations;
  bool privileged_without_host_devices = false;
  bool selinux_kvm = false;            // its containers are virtual machines: container_kvm_t
  std::string exec_cpu_affinity = {};  // "" | kFirstCpu
};

inline constexpr char kFirstCpu[] = "first";  // value of RuntimeHandler::exec_cpu_affinity

// CPU resources of a container in the words of workload annotations; 0 and "" ask for nothing.
struct WorkloadResources {
  int64_t cpushares = 0;
  int64_t cpuquota = 0;  // microseconds in each period; -1: no limit
  int64_t cpuperiod = 0;
  int64_t cpulimit = 0;  // thousandths of a CPU, from which the quota follows
  std::string cpuset = {};
};

// Pods with the annotation `activation_annotation`, and what their containers get.
struct Workload {
  std::string activation_annotation = {};
  std::string annotation_prefix = {};  // "": pods choose nothing themselves
  std::vector<std::string> allowed_annotations = {};
  WorkloadResources resources = {};
};

inline constexpr char kMonitorInPod[] = "pod";  // value of Runtime::monitor_cgroup

struct Runtime {
  std::string default_handler;                     // "" means crun where it can run here, else runc
  std::map<std::string, RuntimeHandler> handlers;  // "crun" and "runc" exist without being named
  std::map<std::string, Workload> workloads;
  std::string monitor_path;  // "" means davit-conmon beside davit, then libexec, PATH
  std::string cgroup_manager = "cgroupfs";       // cgroupfs | systemd
  std::string default_cgroup_parent = "/davit";  // where the request names none
  std::string monitor_cgroup;                    // "": the daemon's own; kMonitorInPod; a cgroup
  std::vector<std::string> default_capabilities = {"CHOWN",   "DAC_OVERRIDE",     "FSETID",
                                                   "FOWNER",  "SETGID",           "SETUID",
                                                   "SETPCAP", "NET_BIND_SERVICE", "KILL"};
  std::map<std::string, std::string> default_sysctls;
  std::vector<std::string> default_env;                              // "NAME=value"
  int64_t pids_limit = 0;                                            // 0: none
  std::vector<std::string> default_ulimits;                          // "nofile=1024:2048"
  std::vector<std::string> cdi_dirs = {"/etc/cdi", "/var/run/cdi"};  // later ones win
  std::vector<std::string> hooks_dirs = {"/usr/share/containers/oci/hooks.d"};
  std::vector<std::string> default_mounts;           // "SOURCE:DESTINATION[:ro|rw]"
  std::vector<std::string> mount_sources_to_reject;  // where missing, no directory is made
  std::vector<std::string> additional_devices;       // "HOST[:CONTAINER][:rwm]"
  std::vector<std::string> allowed_devices = {"/dev/fuse", "/dev/net/tun"};  // by annotation
  bool device_ownership_from_security_context = false;
  bool selinux = false;
  int selinux_category_range = 1024;          // levels of pods are pairs of so many
  bool selinux_confine_host_network = false;  // else pods on the host's network are not confined
  std::string blockio_config;                 // classes of block I/O; "": the node has none
  bool ignore_missing_blockio_class = false;
  std::string irqbalance_config;                // "": that of the distribution, if it is there
  std::string log_directory = "/var/log/pods";  // for pods whose request names none
  int64_t max_log_line_bytes = 16384;
  int64_t log_rate_limit = 0;  // bytes a second of each container; 0: no limit
  int64_t max_log_size = 0;    // bytes of a log file until it is rotated; 0: no limit
  bool log_to_journald = false;
  // Pods on the node from which on a container is started where the OCI runtime does not see the
  // mounts of the others (server/oci/runtime_mounts.h); -1: never.
  int lean_mounts_from = 16;
  std::chrono::milliseconds create_timeout{240000};
};

struct Mirror {
  std::string prefix;                  // "registry.k8s.io" or "docker.io/library"
  std::vector<std::string> endpoints;  // "127.0.0.1:5000", optionally with http:// and a path
};

struct Image {
  std::string registries_conf = "/etc/containers/registries.conf";
  std::string registries_conf_dir = "/etc/containers/registries.conf.d";
  std::string short_name_aliases = "/var/cache/containers/short-name-aliases.conf";
  std::string short_name_mode;                  // enforcing | permissive | disabled; "": the file's
  std::vector<std::string> unqualified_search;  // empty: the file's, else docker.io
  std::vector<std::string> insecure_registries;  // plain HTTP allowed; loopback always is
  std::vector<std::string> certs_dirs = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
  std::vector<std::string> hosts_dirs = {"/etc/containerd/certs.d"};  // HOST/hosts.toml
  std::vector<Mirror> mirrors;
  std::vector<std::string> pinned;  // globs
  int max_parallel_layers = 6;
  int max_ranges_per_layer = 4;                       // connections for a large layer; 1: no ranges
  int64_t range_memory = int64_t{12} << 20;           // for all ranges of all pulls at a time
  std::chrono::milliseconds progress_timeout{60000};  // no byte for so long ends a transfer
  int64_t min_bytes_per_second = 1024;                // over a progress_timeout; 0: any
  std::string auth_file;                              // Docker/Podman auth JSON
  std::string namespaced_auth_dir = "/etc/crio/auth";  // NAMESPACE-SHA256.json, each for one pull
  std::string signature_policy;  // policy.json; "": /etc/containers/policy.json if it exists
  std::string signature_policy_dir = "/etc/davit/policies";   // <namespace>.json
  std::string registries_d = "/etc/containers/registries.d";  // where signatures are
  int max_layers = 500;                                       // overlayfs takes no more
  int64_t max_layer_bytes = int64_t{64} << 30;                // unpacked, each
  int64_t max_layer_files = 10'000'000;
  int64_t max_layer_ratio = 2000;  // unpacked to compressed, from 1 GiB on; 0: none
  bool layer_devices = true;       // false: a layer with device nodes is refused
  std::string volumes = "mkdir";   // mkdir | bind | ignore
};

struct Storage {
  std::string root = "/var/lib/davit";  // survives reboots
  std::string run = "/run/davit";       // does not
  bool sync = true;                     // layer data on disk before its record
  std::vector<std::string> mount_options;
  int64_t rootfs_size = 0;  // bytes that a container may write; 0: no limit
  std::string unpack_path;  // "" means davit-unpack beside davit, then libexec, PATH
  bool recipes = true;      // what makes a layer's tar again is kept beside it
  std::vector<std::string> additional_stores;  // roots of others that are read, never written
};

struct Network {
  std::string config_dir = "/etc/cni/net.d";
  std::vector<std::string> plugin_dirs = {"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"};
  std::string cache_dir = "/var/lib/cni";  // libcni's layout: results/
  // Of which ADD and DEL are done in process, where their configuration allows it: bridge.
  std::vector<std::string> builtin_plugins;
  std::string default_network;  // "" means the first file by name
  bool default_bridge = true;   // embedded bridge network where config_dir is empty
  std::string default_bridge_name = "davit0";
  std::string default_bridge_subnet = "10.88.0.0/16";
  std::string default_bridge_ipam_dir;  // "" means host-local's own /var/lib/cni/networks
  std::chrono::milliseconds add_timeout{180000};
  std::chrono::milliseconds del_timeout{60000};
  std::chrono::milliseconds gc_interval{std::chrono::hours(1)};  // 0: no timer
  std::string host_ports = "auto";                               // auto | off
};

// Exec, attach and port-forward (docs/streaming.md).
struct Streaming {
  std::string address = "127.0.0.1";
  int port = 0;          // 0: any free one
  std::string tls_cert;  // "": no TLS
  std::string tls_key;
  std::string tls_ca;                    // set: clients must show a certificate signed by it
  std::string tls_min_version = "1.2";   // 1.2 | 1.3
  std::vector<std::string> tls_ciphers;  // empty: OpenSSL's default
  std::chrono::milliseconds idle_timeout{std::chrono::hours(4)};
  std::chrono::milliseconds creation_timeout{std::chrono::seconds(60)};
};

struct Config {
  std::string socket = "/run/davit/davit.sock";
  std::string log_level = "info";  // trace debug info warning error
  int max_threads = 32;            // of the executor
  Runtime runtime;
  Image image;
  Storage storage;
  Network network;
  Streaming streaming;
};

}  // namespace davit::config
