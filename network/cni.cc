// SPDX-License-Identifier: Apache-2.0
#include "network/cni.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/alongside.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "base/namespace.h"
#include "base/status.h"
#include "base/text.h"
#include "network/builtin/plugins.h"
#include "network/cache.h"
#include "network/cni_config.h"
#include "network/config_source.h"
#include "network/default_network.h"
#include "network/loopback.h"
#include "network/plugin.h"
#include "network/plugin_status.h"
#include "network/result.h"
#include "network/runtime_args.h"

namespace davit::network {
namespace {

using nlohmann::json;

class CniImpl final : public Cni {
 public:
  CniImpl(const config::Network& config, const std::string& owner, Executor* background)
      : config_(config),
        source_(config),
        runner_(config.plugin_dirs),
        builtin_(config.builtin_plugins),
        cache_(config.cache_dir, owner),
        plugin_status_(runner_, background) {}

  absl::Status Ready() override;
  std::string DescribeJson() override;
  absl::StatusOr<NetworkResult> Add(Context& ctx, const PodNetwork& pod) override;
  absl::Status Del(Context& ctx, const PodNetwork& pod) override;
  absl::StatusOr<std::vector<std::string>> CachedSandboxes() override {
    return cache_.Containers();
  }
  absl::Status Check(Context& ctx, const PodNetwork& pod) override;
  // TryLock in the middle of a function is more than Clang's analysis follows.
  absl::Status CollectGarbage(Context& ctx) ABSL_NO_THREAD_SAFETY_ANALYSIS override;
  std::string Fingerprint() override;

 private:
  // One plugin's call: what all calls for an attachment share.
  struct Chain {
    const NetworkConfig& network;
    const Attachment& attachment;
    std::string netns;
    // False where the attachment was made up because no record of an ADD exists: then nothing is
    // known about what the plugins did.
    bool recorded = true;
  };

  // ADD, DEL or CHECK of one plugin of the chain. `previous` is what goes to it as prevResult.
  absl::StatusOr<std::string> RunOne(Context& ctx, std::string_view command, const Chain& chain,
                                     const PluginConfig& plugin, const std::string& previous);
  absl::Status DetachLeftovers(const std::string& sandbox_id);
  absl::StatusOr<PluginResult> RunAdd(Context& ctx, const Chain& chain);
  absl::Status RunDel(Context& ctx, const Chain& chain);
  absl::Status RunCheck(Context& ctx, const Chain& chain);
  absl::Status RunGc(Context& ctx, const NetworkConfig& network);
  absl::StatusOr<NetworkResult> AddAndRecord(Context& ctx, const NetworkConfig& network,
                                             Attachment& attachment);
  absl::Status Detach(Context& ctx, const Attachment& attachment, const std::string& netns_hint);
  absl::Status DetachUnrecorded(Context& ctx, const PodNetwork& pod);
  absl::StatusOr<NetworkPtr> NetworkOf(const Attachment& attachment);

  const config::Network config_;
  ConfigSource source_;
  const PluginRunner runner_;
  builtin::Plugins builtin_;
  const Cache cache_;
  PluginStatus plugin_status_;
  // GC runs alone, ADD and DEL side by side. Readers hold it while plugins run, for minutes maybe:
  // the writer never queues for it, or it would make all others queue too.
  absl::Mutex gc_mutex_;
};

constexpr std::chrono::seconds kGcTimeout{30};

// portmap without ports hands its input through at ADD and has nothing to take back at DEL: not
// executing it spares a pod without host ports one process at ADD and many (iptables) at DEL.
bool IsIdle(const PluginConfig& plugin, const Attachment& attachment) {
  return plugin.type == "portmap" && Wants(plugin, kPortMappings) &&
         !attachment.capability_args.contains(kPortMappings);
}

// The arguments of the capabilities that the plugin asks for and the pod has something for.
std::string RuntimeConfig(const PluginConfig& plugin, const Attachment& attachment) {
  std::string runtime;
  for (const std::string& capability : plugin.capabilities) {
    const auto found = attachment.capability_args.find(capability);
    if (found != attachment.capability_args.end()) {
      runtime += fmt::format("{}{}:{}", runtime.empty() ? "" : ",", DumpJson(json(capability)),
                             found->second);
    }
  }
  return runtime;
}

std::string PluginInput(const PluginConfig& plugin, const std::string& runtime,
                        const std::string& previous_result) {
  std::string input = plugin.stdin_head;
  if (!runtime.empty()) {
    input += ",\"runtimeConfig\":{" + runtime + "}";
  }
  if (!previous_result.empty()) {
    input += ",\"prevResult\":" + previous_result;
  }
  return input + "}";
}

PluginCall CallFor(std::string_view command, const NetworkConfig& network,
                   const PluginConfig& plugin, const Attachment& attachment) {
  PluginCall call;
  call.command = command;
  call.network = network.name;
  call.type = plugin.type;
  call.container_id = attachment.container_id;
  return call;
}

// Large arguments (annotations) are kept only if a plugin asks for them.
void DropUnwantedArgs(const NetworkConfig& network, Attachment& attachment) {
  std::erase_if(attachment.capability_args,
                [&](const auto& arg) { return !Wants(network, arg.first); });
}

absl::StatusOr<Attachment> PlanAttachment(const NetworkConfig& network, const PodNetwork& pod) {
  if (!IsValidName(pod.sandbox_id)) {
    return InvalidArgument("sandbox ID \"{}\" is not valid", Printable(pod.sandbox_id, 80));
  }
  Attachment attachment;
  attachment.container_id = pod.sandbox_id;
  attachment.network = network.name;
  attachment.netns = pod.netns_path;
  attachment.config_json = network.list_json;
  ASSIGN_OR_RETURN(attachment.args, PodArgs(pod));
  ASSIGN_OR_RETURN(attachment.capability_args, CapabilityArgs(pod));
  DropUnwantedArgs(network, attachment);
  return attachment;
}

absl::Status CniImpl::Ready() {
  absl::StatusOr<NetworkPtr> network = source_.Current();
  if (!network.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition, network.status());
  }
  RETURN_IF_ERROR(runner_.FindAll(**network));
  for (const PluginConfig& plugin : (*network)->plugins) {
    // The kubelet asks often: so the log says it when the configuration has changed.
    (void)builtin_.Has(**network, plugin);
  }
  return plugin_status_.Of(*network);
}

std::string CniImpl::DescribeJson() {
  const absl::Status ready = Ready();
  json root = {{"ready", ready.ok()}};
  if (!ready.ok()) {
    root["reason"] = Message(ready);
  }
  if (const absl::StatusOr<NetworkPtr> network = source_.Current(); network.ok()) {
    root["network"] = (*network)->name;
    root["cniVersion"] = (*network)->cni_version;
    root["file"] = (*network)->file;
    json& plugins = root["plugins"] = json::array();
    for (const PluginConfig& plugin : (*network)->plugins) {
      plugins.push_back({{"type", plugin.type},
                         {"path", runner_.Find(plugin.type).value_or("")},
                         {"builtin", builtin_.Has(**network, plugin)}});
    }
  }
  return DumpJson(root);
}

absl::StatusOr<std::string> CniImpl::RunOne(Context& ctx, std::string_view command,
                                            const Chain& chain, const PluginConfig& plugin,
                                            const std::string& previous) {
  const std::string args = JoinArgs(chain.attachment.args);
  const std::string runtime = RuntimeConfig(plugin, chain.attachment);
  PluginCall call = CallFor(command, chain.network, plugin, chain.attachment);
  call.netns = chain.netns;
  call.args = args;
  if (auto output = builtin_.Run(ctx, {.network = chain.network,
                                       .plugin = plugin,
                                       .call = call,
                                       .has_runtime_config = !runtime.empty(),
                                       .result = previous})) {
    return *std::move(output);
  }
  const std::string input = PluginInput(plugin, runtime, previous);
  call.input = input;
  return runner_.Run(ctx, call);
}

absl::StatusOr<PluginResult> CniImpl::RunAdd(Context& ctx, const Chain& chain) {
  Context limited(ctx, config_.add_timeout);
  PluginResult result;
  for (const PluginConfig& plugin : chain.network.plugins) {
    if (IsIdle(plugin, chain.attachment) && !result.json.empty()) {
      continue;
    }
    ctx.SetStage("cni add " + plugin.type);
    ASSIGN_OR_RETURN(const std::string output, RunOne(limited, "ADD", chain, plugin, result.json));
    absl::StatusOr<PluginResult> parsed = ParseResult(output, chain.network.cni_version);
    if (!parsed.ok()) {
      return Annotate(parsed.status(),
                      fmt::format("plugin {} of network {}", plugin.type, chain.network.name));
    }
    result = *std::move(parsed);
  }
  if (result.ips.empty()) {
    return Internal("network {} gave {} no IP address, check \"ipam\" in {}", chain.network.name,
                    kInterfaceName, chain.network.file);
  }
  return result;
}

absl::Status CniImpl::RunDel(Context& ctx, const Chain& chain) {
  // The result is part of DEL since 0.4.0.
  const std::string previous =
      chain.network.cni_version.starts_with("0.3.") ? "" : chain.attachment.result_json;
  Context limited(ctx, config_.del_timeout);
  absl::Status first;
  const auto& plugins = chain.network.plugins;
  for (auto plugin = plugins.rbegin(); plugin != plugins.rend(); ++plugin) {
    if (chain.recorded && IsIdle(*plugin, chain.attachment)) {
      continue;
    }
    ctx.SetStage("cni del " + plugin->type);
    const absl::Status status = RunOne(limited, "DEL", chain, *plugin, previous).status();
    // The others can still give back what they hold; all of it is repeated at the next try.
    first.Update(status);
    if (!limited.Check().ok()) {
      break;
    }
  }
  return first;
}

absl::Status CniImpl::RunCheck(Context& ctx, const Chain& chain) {
  Context limited(ctx, config_.del_timeout);
  for (const PluginConfig& plugin : chain.network.plugins) {
    if (IsIdle(plugin, chain.attachment)) {
      continue;
    }
    ctx.SetStage("cni check " + plugin.type);
    RETURN_IF_ERROR(RunOne(limited, "CHECK", chain, plugin, chain.attachment.result_json).status());
  }
  return absl::OkStatus();
}

absl::Status CniImpl::RunGc(Context& ctx, const NetworkConfig& network) {
  ASSIGN_OR_RETURN(const std::vector<Cache::Name> attachments, cache_.AttachmentsOf(network.name));
  json valid = json::array();
  for (const Cache::Name& each : attachments) {
    valid.push_back({{"containerID", each.container_id}, {"ifname", each.interface}});
  }
  // Under both names: plugins were written by a draft that had the second.
  const std::string list = DumpJson(valid);
  const std::string tail =
      ",\"cni.dev/valid-attachments\":" + list + ",\"cni.dev/attachments\":" + list + "}";
  Context limited(ctx, kGcTimeout);
  absl::Status first;
  for (const PluginConfig& plugin : network.plugins) {
    ctx.SetStage("cni gc " + plugin.type);
    const std::string input = plugin.stdin_head + tail;
    PluginCall call;
    call.command = "GC";
    call.network = network.name;
    call.type = plugin.type;
    call.input = input;
    first.Update(runner_.Run(limited, call).status());
  }
  return first;
}

// The network as it was at ADD; where its record is unreadable, the one of that name now.
absl::StatusOr<NetworkPtr> CniImpl::NetworkOf(const Attachment& attachment) {
  absl::StatusOr<NetworkConfig> recorded =
      ParseNetworkConfig(attachment.config_json, "record of network " + attachment.network);
  if (recorded.ok()) {
    return std::make_shared<const NetworkConfig>(*std::move(recorded));
  }
  absl::StatusOr<NetworkPtr> current = source_.Current();
  if (current.ok() && (*current)->name == attachment.network) {
    return current;
  }
  return recorded.status();
}

absl::Status CniImpl::Detach(Context& ctx, const Attachment& attachment,
                             const std::string& netns_hint) {
  const absl::StatusOr<NetworkPtr> network = NetworkOf(attachment);
  if (!network.ok()) {
    // Nothing is left to call plugins with; an error would keep the pod from ever going away.
    log::Warning("sandbox {}: network {} cannot be detached, an address may stay reserved: {}",
                 attachment.container_id, attachment.network, Message(network.status()));
    return cache_.Remove(attachment);
  }
  const std::string& netns = netns_hint.empty() ? attachment.netns : netns_hint;
  const Chain chain{**network, attachment, IsNamespacePin(netns) ? netns : "",
                    !attachment.config_json.empty()};
  RETURN_IF_ERROR(RunDel(ctx, chain));
  return cache_.Remove(attachment);
}

// A daemon that died within ADD left a record; its plugins would refuse to add twice.
absl::Status CniImpl::DetachLeftovers(const std::string& sandbox_id) {
  ASSIGN_OR_RETURN(const std::vector<Attachment> leftovers, cache_.Find(sandbox_id));
  for (const Attachment& leftover : leftovers) {
    Context own(config_.del_timeout);
    RETURN_IF_ERROR(Detach(own, leftover, ""));
  }
  return absl::OkStatus();
}

absl::StatusOr<NetworkResult> CniImpl::AddAndRecord(Context& ctx, const NetworkConfig& network,
                                                    Attachment& attachment) {
  // On record before the first plugin runs, so that a daemon that dies in between can undo. On disk
  // by the time they are done: what a power loss takes of the record before that, it takes of their
  // reservations too.
  RETURN_IF_ERROR(cache_.Write(attachment));
  // Some milliseconds (grace periods of the kernel, the disk) in which the first plugin just
  // starts.
  Alongside preparations([&, this]() -> absl::Status {
    RETURN_IF_ERROR(BringUpLoopback(attachment.netns));
    return cache_.Sync(attachment);
  });
  ASSIGN_OR_RETURN(PluginResult result, RunAdd(ctx, Chain{network, attachment, attachment.netns}));
  RETURN_IF_ERROR(preparations.Join());
  RETURN_IF_ERROR(failpoint::Hit("cni_add.after_plugins"));
  attachment.result_json = result.json;
  RETURN_IF_ERROR(cache_.Write(attachment));
  return NetworkResult{std::move(result.ips), std::move(result.json),
                       Wants(network, kPortMappings)};
}

absl::StatusOr<NetworkResult> CniImpl::Add(Context& ctx, const PodNetwork& pod) {
  ASSIGN_OR_RETURN(const NetworkPtr network, source_.Current());
  RETURN_IF_ERROR(runner_.FindAll(*network));
  ASSIGN_OR_RETURN(Attachment attachment, PlanAttachment(*network, pod));
  if (!IsNamespacePin(pod.netns_path)) {
    return FailedPrecondition("sandbox {}: {} is no network namespace", pod.sandbox_id,
                              pod.netns_path);
  }
  ctx.SetStage("wait for the end of cni gc");
  absl::ReaderMutexLock no_gc(&gc_mutex_);
  RETURN_IF_ERROR(DetachLeftovers(pod.sandbox_id));
  absl::StatusOr<NetworkResult> result = AddAndRecord(ctx, *network, attachment);
  if (!result.ok()) {
    // The request's time may be over; the undoing has its own. If it fails the record stays.
    Context own(config_.del_timeout);
    log::IfError(Detach(own, attachment, ""),
                 fmt::format("sandbox {}: undo of a failed network setup", pod.sandbox_id));
  }
  return result;
}

// Nothing is known of an ADD (the record was lost, or there never was one): the network in use now
// is the best guess, and DEL of what was never added is harmless.
absl::Status CniImpl::DetachUnrecorded(Context& ctx, const PodNetwork& pod) {
  const absl::StatusOr<NetworkPtr> network = source_.Current();
  if (!network.ok() || !runner_.FindAll(**network).ok()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<Attachment> attachment = PlanAttachment(**network, pod);
  if (!attachment.ok()) {
    return absl::OkStatus();  // what cannot be planned was never added
  }
  Context limited(ctx, config_.del_timeout);
  return RunDel(limited,
                Chain{**network, *attachment, IsNamespacePin(pod.netns_path) ? pod.netns_path : "",
                      /*recorded=*/false});
}

absl::Status CniImpl::Del(Context& ctx, const PodNetwork& pod) {
  if (!IsValidName(pod.sandbox_id)) {
    return InvalidArgument("sandbox ID \"{}\" is not valid", Printable(pod.sandbox_id, 80));
  }
  ctx.SetStage("wait for the end of cni gc");
  absl::ReaderMutexLock no_gc(&gc_mutex_);
  ctx.SetStage("cni del");
  ASSIGN_OR_RETURN(const std::vector<Attachment> attachments, cache_.Find(pod.sandbox_id));
  if (attachments.empty()) {
    return DetachUnrecorded(ctx, pod);
  }
  absl::Status first;
  for (const Attachment& attachment : attachments) {
    first.Update(Detach(ctx, attachment, pod.netns_path));
  }
  return first;
}

absl::Status CniImpl::Check(Context& ctx, const PodNetwork& pod) {
  ASSIGN_OR_RETURN(const std::vector<Attachment> attachments, cache_.Find(pod.sandbox_id));
  for (const Attachment& attachment : attachments) {
    const absl::StatusOr<NetworkPtr> network = NetworkOf(attachment);
    if (!network.ok() || (*network)->disable_check || attachment.result_json.empty()) {
      continue;
    }
    RETURN_IF_ERROR(RunCheck(ctx, Chain{**network, attachment, attachment.netns}));
  }
  return absl::OkStatus();
}

absl::Status CniImpl::CollectGarbage(Context& ctx) {
  const absl::StatusOr<NetworkPtr> network = source_.Current();
  if (!network.ok() || !(*network)->has_status || (*network)->disable_gc) {
    return absl::OkStatus();
  }
  if (!gc_mutex_.TryLock()) {
    return Unavailable("a network is being added or deleted");
  }
  absl::Status status = RunGc(ctx, **network);
  gc_mutex_.Unlock();
  return status;
}

std::string CniImpl::Fingerprint() {
  const absl::StatusOr<NetworkPtr> network = source_.Current();
  return network.ok() ? (*network)->list_json : "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cni>> Cni::Create(const config::Network& config,
                                                 const std::string& owner, Executor* background) {
  if (config.default_bridge) {
    RETURN_IF_ERROR(DefaultBridgeNetwork(config).status());
  }
  return std::make_unique<CniImpl>(config, owner, background);
}

}  // namespace davit::network
