// SPDX-License-Identifier: Apache-2.0
//
// The one list of all keys: name, comment, member. The loader, the printer and the check walk it,
// so that a key cannot be read and not documented. A visitor has Section(key, comment, body) and
// Field(key, comment, member) for each type of member.
#pragma once

#include "config/config.h"

namespace davit::config {

template <typename Visitor>
void VisitHandler(Visitor& v, RuntimeHandler& handler) {
  v.Field("path", "absolute path, or a name looked up in PATH", handler.path);
  v.Field("root", "its state directory; empty: <run>/runtime/<name>", handler.root);
  v.Field("allowed_annotations", "annotations of pods that this handler acts on",
          handler.allowed_annotations);
  v.Field("privileged_without_host_devices", "privileged containers get no devices of the host",
          handler.privileged_without_host_devices);
  v.Field("selinux_kvm", "its containers are virtual machines: SELinux type container_kvm_t",
          handler.selinux_kvm);
  v.Field("exec_cpu_affinity",
          "first: commands that are executed in a container run on the first CPU of its cpuset, "
          "where it has one of its own; empty: on all of them",
          handler.exec_cpu_affinity);
}

template <typename Visitor>
void VisitWorkloadResources(Visitor& v, WorkloadResources& resources) {
  v.Field("cpushares", "0: as the request says; so with all of them", resources.cpushares);
  v.Field("cpuquota", "microseconds in each period; -1: no limit", resources.cpuquota);
  v.Field("cpuperiod", "microseconds", resources.cpuperiod);
  v.Field("cpulimit", "thousandths of a CPU, in place of a quota", resources.cpulimit);
  v.Field("cpuset", "as 0-2,7; of the pod's infra process and monitors, too", resources.cpuset);
}

template <typename Visitor>
void VisitWorkload(Visitor& v, Workload& workload) {
  v.Field("activation_annotation", "pods with it, whatever its value, belong to the workload",
          workload.activation_annotation);
  v.Field("annotation_prefix",
          "a pod's PREFIX/CONTAINER = {\"cpushares\": 512, …} goes before the resources below; "
          "empty: none does",
          workload.annotation_prefix);
  v.Field("allowed_annotations", "that its pods may use, besides those of their handler",
          workload.allowed_annotations);
  v.Section("resources", "what its containers get in place of what their requests say",
            [&](auto& inner) { VisitWorkloadResources(inner, workload.resources); });
}

template <typename Visitor>
void VisitMirror(Visitor& v, Mirror& mirror) {
  v.Field("prefix", "registry, or registry/path, whose images the mirror has", mirror.prefix);
  v.Field("endpoints", "host[:port][/path], tried in order before the registry itself",
          mirror.endpoints);
}

template <typename Visitor>
void VisitRuntime(Visitor& v, Runtime& runtime) {
  v.Field("default_handler", "empty: crun where it can run on this host, else runc",
          runtime.default_handler);
  v.Field("handlers", "OCI runtimes by handler name; crun and runc exist without being named",
          runtime.handlers);
  v.Field("workloads", "kinds of pods whose CPUs the node decides on, by name", runtime.workloads);
  v.Field("monitor_path", "empty: davit-conmon beside davit, then in libexec, then in PATH",
          runtime.monitor_path);
  v.Field("cgroup_manager", "cgroupfs, or systemd: what cgroupDriver of the kubelet is",
          runtime.cgroup_manager);
  v.Field("default_cgroup_parent",
          "cgroup of pods whose request names none; with systemd the slice for it, as davit.slice",
          runtime.default_cgroup_parent);
  v.Field("monitor_cgroup",
          "where monitors of containers run: empty for the daemon's own cgroup, pod for the pod's, "
          "or the path of a cgroup (with systemd: of a slice)",
          runtime.monitor_cgroup);
  v.Field("default_capabilities", "what a container has unless its request adds or drops",
          runtime.default_capabilities);
  v.Field("default_sysctls", "set in every pod, before its own", runtime.default_sysctls);
  v.Field("default_env", "NAME=value, before the image's and the request's", runtime.default_env);
  v.Field("pids_limit", "processes in a container; 0: no limit", runtime.pids_limit);
  v.Field("default_ulimits", "name=soft:hard", runtime.default_ulimits);
  v.Field("cdi_dirs", "CDI specifications of devices; of one device in two, the later counts",
          runtime.cdi_dirs);
  v.Field("hooks_dirs",
          "OCI hooks (oci-hooks(5), version 1.0.0); of one file name, the later counts",
          runtime.hooks_dirs);
  v.Field("default_mounts", "SOURCE:DESTINATION[:ro|rw] in every container; read-only if not said",
          runtime.default_mounts);
  v.Field("mount_sources_to_reject",
          "host paths that are no directories to be made where a container mounts them and they do "
          "not exist",
          runtime.mount_sources_to_reject);
  v.Field("additional_devices", "HOST[:CONTAINER][:rwm] in every container",
          runtime.additional_devices);
  v.Field("allowed_devices", "what the annotation davit.io/devices may ask for",
          runtime.allowed_devices);
  v.Field("device_ownership_from_security_context",
          "devices of a request belong to the user and group that the container runs as",
          runtime.device_ownership_from_security_context);
  v.Field("selinux",
          "containers get SELinux labels, on a node whose kernel has SELinux (docs/security.md)",
          runtime.selinux);
  v.Field("selinux_category_range", "each pod gets a pair of so many SELinux categories of its own",
          runtime.selinux_category_range);
  v.Field("selinux_confine_host_network",
          "SELinux confines containers on the host's network, too; else they are spc_t",
          runtime.selinux_confine_host_network);
  v.Field("blockio_config",
          "YAML file of the block I/O classes that annotations may ask for; empty: the node has "
          "none. Read for each container that asks",
          runtime.blockio_config);
  v.Field("ignore_missing_blockio_class",
          "a container that asks for a class that the node does not have runs without, in place of "
          "being refused",
          runtime.ignore_missing_blockio_class);
  v.Field("irqbalance_config",
          "where irqbalance is told of CPUs that containers have without interrupts; empty: "
          "/etc/sysconfig/irqbalance or /etc/default/irqbalance, whichever is there",
          runtime.irqbalance_config);
  v.Field("log_directory", "for pods whose request names none", runtime.log_directory);
  v.Field("max_log_line_bytes", "longer lines are logged in parts", runtime.max_log_line_bytes);
  v.Field("log_rate_limit",
          "bytes a second that a container may log, 0: no limit; lines over it are left out, and "
          "the log says how many",
          runtime.log_rate_limit);
  v.Field("max_log_size",
          "bytes of a log file, 0: no limit; lines are left out from there until it is rotated",
          runtime.max_log_size);
  v.Field("log_to_journald", "containers log to the systemd journal too", runtime.log_to_journald);
  v.Field("lean_mounts_from",
          "with so many pods on the node, containers are started in a mount namespace without the "
          "mounts of other pods, which is quicker; 0: always, -1: never",
          runtime.lean_mounts_from);
  v.Field("create_timeout", "longest time that creating or starting a container may take",
          runtime.create_timeout);
}

template <typename Visitor>
void VisitImage(Visitor& v, Image& image) {
  v.Field("registries_conf", "containers-registries.conf(5); changes take effect at once",
          image.registries_conf);
  v.Field("registries_conf_dir", "its drop-ins", image.registries_conf_dir);
  v.Field("short_name_aliases", "aliases chosen on this node, over those of registries.conf",
          image.short_name_aliases);
  v.Field("short_name_mode",
          "names without a registry that several could have: enforcing (an error), permissive or "
          "disabled (tried in order); empty: as registries.conf says, else enforcing",
          image.short_name_mode);
  v.Field("unqualified_search",
          "registries of names without one; empty: those of registries.conf, else docker.io",
          image.unqualified_search);
  v.Field("insecure_registries",
          "host[:port] spoken to without TLS or with any certificate; loopback always may be",
          image.insecure_registries);
  v.Field("mirrors",
          "where images of a registry are looked for first, in place of registries.conf's mirrors",
          image.mirrors);
  v.Field("certs_dirs", "HOST[:PORT]/{*.crt,*.cert,*.key}: the first that has the host counts",
          image.certs_dirs);
  v.Field("hosts_dirs", "HOST[:PORT]/hosts.toml, as containerd has them", image.hosts_dirs);
  v.Field("pinned", "names (with * and ?) that garbage collection keeps", image.pinned);
  v.Field("max_parallel_layers", "layers of one image fetched at a time",
          image.max_parallel_layers);
  v.Field("max_ranges_per_layer",
          "connections that fetch parts of one large layer side by side; 1: one connection",
          image.max_ranges_per_layer);
  v.Field("range_memory", "bytes of memory for such parts, over all pulls", image.range_memory);
  v.Field("progress_timeout", "a transfer without a byte for so long ends", image.progress_timeout);
  v.Field("min_bytes_per_second", "a slower transfer (over a progress_timeout) ends; 0: none does",
          image.min_bytes_per_second);
  v.Field("auth_file", "Docker or Podman auth JSON; empty: none", image.auth_file);
  v.Field("namespaced_auth_dir",
          "NAMESPACE-SHA256.json of a credential provider, each for one pull; empty: none",
          image.namespaced_auth_dir);
  v.Field(
      "signature_policy",
      "which images are accepted: containers-policy.json(5); empty: /etc/containers/policy.json "
      "if it exists, else all are",
      image.signature_policy);
  v.Field("signature_policy_dir", "<namespace>.json counts instead for pods of that namespace",
          image.signature_policy_dir);
  v.Field("registries_d", "where signatures of images are: containers-registries.d(5)",
          image.registries_d);
  v.Field("max_layers", "of one image", image.max_layers);
  v.Field("max_layer_bytes", "unpacked size of one layer", image.max_layer_bytes);
  v.Field("max_layer_files", "files in one layer", image.max_layer_files);
  v.Field("max_layer_ratio",
          "unpacked to compressed size of a layer of more than 1 GiB unpacked; 0: no limit",
          image.max_layer_ratio);
  v.Field("layer_devices",
          "layers may hold device nodes (nobody can open them in a container: overlays are mounted "
          "nodev); false: such a layer is refused",
          image.layer_devices);
  v.Field("volumes",
          "what a VOLUME of an image becomes: mkdir: a directory of the container's root; bind: an "
          "empty directory beside it, writable also with a read-only root; ignore: nothing",
          image.volumes);
}

template <typename Visitor>
void VisitStorage(Visitor& v, Storage& storage) {
  v.Field("root", "images, layers, container root file systems, davit.db; survives reboots",
          storage.root);
  v.Field("run", "namespaces, mounts, sockets; gone after a reboot", storage.run);
  v.Field("sync", "layers are on the disk before their record; false loses images in a power cut",
          storage.sync);
  v.Field("mount_options", "extra options of overlay mounts", storage.mount_options);
  v.Field("rootfs_size",
          "bytes that a container may write to its root file system; 0: no limit. Needs project "
          "quotas on the file system of root",
          storage.rootfs_size);
  v.Field("unpack_path", "empty: davit-unpack beside davit, then in libexec, then in PATH",
          storage.unpack_path);
  v.Field("recipes", "keep what makes the tar of a layer again: its content can be proved by it",
          storage.recipes);
  v.Field("additional_stores",
          "roots of other davits (on a disk that nodes share, or that came with the node) whose "
          "images are used as if they were here; read at the start, never written",
          storage.additional_stores);
}

template <typename Visitor>
void VisitNetwork(Visitor& v, Network& network) {
  v.Field("config_dir", "CNI configuration; changes take effect without a restart",
          network.config_dir);
  v.Field("plugin_dirs", "where CNI plugins are looked for, in order", network.plugin_dirs);
  v.Field("builtin_plugins",
          "plugins that are not executed to add and remove pods, as Davit does the same itself, in "
          "less time: bridge (with host-local). A network that asks for more than is built in has "
          "its plugin executed, the log says why (docs/network.md)",
          network.builtin_plugins);
  v.Field("cache_dir", "results of ADD, for DEL", network.cache_dir);
  v.Field("default_network", "by name; empty: the first file by name", network.default_network);
  v.Field(
      "default_bridge",
      "with config_dir empty: an embedded bridge network. Set false where a network add-on puts "
      "its configuration in later, or pods start on the wrong network",
      network.default_bridge);
  v.Field("default_bridge_name", "interface of the embedded network", network.default_bridge_name);
  v.Field("default_bridge_subnet", "addresses of the embedded network",
          network.default_bridge_subnet);
  v.Field("default_bridge_ipam_dir", "its leases; empty: host-local's own directory",
          network.default_bridge_ipam_dir);
  v.Field("add_timeout", "a plugin that takes longer to add is killed", network.add_timeout);
  v.Field("del_timeout", "the same for removing", network.del_timeout);
  v.Field("gc_interval",
          "how often networks of pods that are gone are looked for, plugins told which pods there "
          "are (CNI 1.1 GC), and networks checked; 0: at the start and with a new configuration",
          network.gc_interval);
  v.Field("host_ports",
          "auto: where the network has no plugin for port mappings Davit publishes them with "
          "nftables; off: that is left to others",
          network.host_ports);
}

template <typename Visitor>
void VisitStreaming(Visitor& v, Streaming& streaming) {
  v.Field("address", "IP address to listen on; whoever reaches it needs an URL of a request",
          streaming.address);
  v.Field("port", "0: any free one", streaming.port);
  v.Field("tls_cert", "PEM file; empty: no TLS. A renewed file takes effect without a restart",
          streaming.tls_cert);
  v.Field("tls_key", "PEM file", streaming.tls_key);
  v.Field("tls_ca", "PEM file; set: clients must show a certificate signed by one of these",
          streaming.tls_ca);
  v.Field("tls_min_version", "1.2 or 1.3", streaming.tls_min_version);
  v.Field("tls_ciphers", "by RFC or OpenSSL name; empty: the library's default",
          streaming.tls_ciphers);
  v.Field("idle_timeout", "a session without a byte for so long ends", streaming.idle_timeout);
  v.Field("creation_timeout", "how long the URL of a request can be used",
          streaming.creation_timeout);
}

template <typename Visitor>
void VisitConfig(Visitor& v, Config& config) {
  v.Field("socket", "where the kubelet and crictl connect", config.socket);
  v.Field("log_level", "trace, debug, info, warning or error", config.log_level);
  v.Field("max_threads", "for work that runs side by side", config.max_threads);
  v.Section("runtime", "OCI runtimes, cgroups and what containers get by default",
            [&](auto& inner) { VisitRuntime(inner, config.runtime); });
  v.Section("image", "registries and pulling",
            [&](auto& inner) { VisitImage(inner, config.image); });
  v.Section("storage", "where state is kept",
            [&](auto& inner) { VisitStorage(inner, config.storage); });
  v.Section("network", "CNI", [&](auto& inner) { VisitNetwork(inner, config.network); });
  v.Section("streaming", "exec, attach and port-forward",
            [&](auto& inner) { VisitStreaming(inner, config.streaming); });
}

}  // namespace davit::config
