// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "config/handler_settings.h"
#include "image/image_config.h"
#include "server/container/container_config.h"
#include "server/container/container_rpcs.h"
#include "server/container/declared_volumes.h"
#include "server/container/image_volumes.h"
#include "server/container/labels.h"
#include "server/container/log_options.h"
#include "server/container/mount_sources.h"
#include "server/container/own_mounts.h"
#include "server/container/pid_namespace.h"
#include "server/container/quiet_cpus.h"
#include "server/container/rootfs_size.h"
#include "server/container/teardown.h"
#include "server/events/publish.h"
#include "server/image/image_policy.h"
#include "server/image/image_view.h"
#include "server/paths.h"
#include "server/sandbox/pod_config.h"
#include "server/sandbox/sandbox_files.h"
#include "server/sandbox/user_namespace.h"
#include "server/selinux/relabel.h"
#include "server/spec/rootfs_prep.h"
#include "server/spec/seccomp_notifier.h"
#include "server/spec/spec.h"
#include "server/state/state_db.h"
#include "server/update.h"
#include "server/workloads.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;
namespace sv1 = davit::state::v1;

using ImagePtr = std::shared_ptr<const storage::ImageRecord>;

constexpr std::chrono::minutes kUndoTimeout{2};
constexpr std::chrono::milliseconds kUntilStart{50};
constexpr mode_t kLogDirMode = 0755;
constexpr mode_t kAccountFileMode = 0644;

absl::Status CheckReady(const Node& node, const Sandbox& sandbox) {
  const auto state = sandbox.record()->state();
  if (state == sv1::SANDBOX_READY && node.sandboxes.Find(sandbox.id()).ok()) {
    return absl::OkStatus();
  }
  return FailedPrecondition("sandbox {} is not ready but {}: no container can be made in it",
                            ShortId(sandbox.id()), sv1::SandboxState_Name(state));
}

absl::StatusOr<ImagePtr> ResolveImage(const Node& node, const v1::ContainerConfig& config) {
  ASSIGN_OR_RETURN(const auto image, FindImage(node, config.image().image()));
  if (!image) {
    return NotFound("image {} is not present on this node; pull it first", config.image().image());
  }
  if (!(*image)->artifact_type.empty()) {
    return FailedPrecondition(
        "image {} is an OCI artifact of type {}: it can be mounted as a volume, not run",
        config.image().image(), Printable((*image)->artifact_type));
  }
  return *image;
}

// Everything one creation works with.
struct Creation {
  Node& node;
  std::shared_ptr<const Sandbox::Record> sandbox;
  ImagePtr image;
  image::ImageConfig image_config;
  std::string rootfs;
  std::map<int, std::string> image_volumes;
  std::map<int, std::string> mount_sources;
  std::map<int, std::string> own_mounts;
  selinux::Labels labels;
};

// What the pod's workload and annotations make of the CPUs that the request asks for.
absl::Status DecideOnCpus(const config::Runtime& config, const v1::PodSandboxConfig& sandbox,
                          Container::Record& record) {
  v1::LinuxContainerResources resources = record.config().linux().resources();
  RETURN_IF_ERROR(ApplyWorkload(config, sandbox, record.config().metadata().name(), resources));
  RETURN_IF_ERROR(ApplyQuietCpus(config, record.handler(), sandbox, resources));
  if (resources.ByteSizeLong() != 0) {
    *record.mutable_config()->mutable_linux()->mutable_resources() = std::move(resources);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Container::Record>> NewRecord(
    const Creation& creation, Context& ctx, const v1::ContainerConfig& config,
    const std::string& name) {
  const Sandbox::Record& sandbox = *creation.sandbox;
  auto record = std::make_shared<Container::Record>();
  record->set_id(NewId());
  record->set_sandbox_id(sandbox.id());
  record->set_name(name);
  record->set_state(sv1::CONTAINER_CREATING);
  record->set_boot_id(BootId());
  record->set_created_at(NowNanos());
  *record->mutable_config() = config;
  ASSIGN_OR_RETURN(const auto runtime, creation.node.runtimes.Find(sandbox.runtime_handler()));
  record->set_handler(runtime->name());
  RETURN_IF_ERROR(DecideOnCpus(creation.node.config.runtime, sandbox.config(), *record));
  RETURN_IF_ERROR(ResolveImageVolumes(creation.node, ctx, sandbox.config().metadata().namespace_(),
                                      *record->mutable_config()));
  record->set_image_id(creation.image->id);
  record->set_image_ref(creation.image->digests.empty() ? creation.image->id
                                                        : creation.image->digests.front());
  ASSIGN_OR_RETURN(std::string log_path, LogPath(sandbox.log_directory(), config.log_path()));
  record->set_log_path(std::move(log_path));
  record->set_cgroup(creation.node.cgroup_manager.ContainerCgroup(sandbox.cgroup(), record->id()));
  return record;
}

absl::Status MakeLogDirectory(const std::string& log_path) {
  if (log_path.empty()) {
    return absl::OkStatus();
  }
  return MakeDirs(log_path.substr(0, log_path.rfind('/')), kLogDirMode);
}

void FillNamespaceInput(const Creation& creation, const Paths& paths, spec::SpecInput& input) {
  const Sandbox::Record& sandbox = *creation.sandbox;
  const auto& config = sandbox.config();
  if (!HostNetwork(config)) {
    input.namespaces.net = paths.Pin(sandbox.id(), "net");
    input.namespaces.uts = paths.Pin(sandbox.id(), "uts");
  }
  if (!HostIpc(config)) {
    input.namespaces.ipc = paths.Pin(sandbox.id(), "ipc");
  }
  if (spec::HasUserNamespace(config)) {
    input.namespaces.user = paths.Pin(sandbox.id(), "user");
  }
  if (NeedsHostSys(config)) {
    input.host_sys = paths.HostSys(sandbox.id());
  }
  input.shm = HostIpc(config) ? "/dev/shm" : paths.Shm(sandbox.id());
  input.resolv_conf = paths.ResolvConf(sandbox.id());
  input.hostname_file = paths.Hostname(sandbox.id());
  input.hosts_file = paths.Hosts(sandbox.id());
  input.hostname = PodHostname(config);
}

spec::HostSettings HostSettingsOf(const config::Runtime& runtime) {
  return {.cdi_dirs = runtime.cdi_dirs,
          .hooks_dirs = runtime.hooks_dirs,
          .default_mounts = runtime.default_mounts,
          .additional_devices = runtime.additional_devices,
          .allowed_devices = runtime.allowed_devices,
          .device_ownership_from_security_context = runtime.device_ownership_from_security_context};
}

absl::Status FillNodeInput(const Node& node, const Container::Record& record,
                           spec::SpecInput& input) {
  input.host = HostSettingsOf(node.config.runtime);
  input.cgroup = node.cgroup_manager.OciPath(record.cgroup());
  input.cgroup_v2 = node.cgroups.mode() == CgroupMode::kV2;
  input.own_capabilities = node.own_capabilities;
  input.lowest_oom_score_adj = node.lowest_oom_score_adj;
  input.privileged_without_host_devices =
      config::HandlerSettings(node.config.runtime, record.handler())
          .privileged_without_host_devices;
  input.allowed_annotations =
      AllowedAnnotations(node.config.runtime, record.handler(), input.sandbox);
  ASSIGN_OR_RETURN(const auto runtime, node.runtimes.Find(record.handler()));
  input.recursive_read_only_mounts = runtime->features().recursive_read_only_mounts;
  return absl::OkStatus();
}

// Beside config.json, with which they go.
std::string AccountFile(const Paths& paths, const std::string& id, const char* name) {
  return JoinPath(paths.Bundle(id), name);
}

// What the container is shown of the daemon's files.
absl::Status LabelOwn(const Creation& creation, const std::string& path) {
  const std::string& label = creation.labels.mount;
  return label.empty() ? absl::OkStatus() : selinux::SetLabel(path, label);
}

absl::Status WriteAccountFiles(const Creation& creation, const Paths& paths, const std::string& id,
                               const spec::SpecOutput& output) {
  for (const auto& [name, text] : {std::pair("passwd", &output.passwd), {"group", &output.group}}) {
    if (!text->empty()) {
      const std::string path = AccountFile(paths, id, name);
      RETURN_IF_ERROR(WriteFileAtomic(path, *text, kAccountFileMode));
      RETURN_IF_ERROR(GiveToPodRoot(creation.sandbox->config(), path));
      RETURN_IF_ERROR(LabelOwn(creation, path));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteSpec(Creation& creation, Container& container) {
  Node& node = creation.node;
  const auto record = container.record();
  const Paths paths(node.config.storage.run);
  ASSIGN_OR_RETURN(const UniqueFd root, Open(creation.rootfs, O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(auto declared_volumes,
                   PrepareDeclaredVolumes(node, *record, creation.image_config, root.get(),
                                          PodRoot(creation.sandbox->config())));
  for (const auto& [path, volume] : declared_volumes) {
    RETURN_IF_ERROR(LabelOwn(creation, volume));
  }
  RETURN_IF_ERROR(spec::LinkMtab(root.get(), PodRoot(creation.sandbox->config())));
  spec::SpecInput input{.sandbox = creation.sandbox->config(),
                        .container = record->config(),
                        .image = creation.image_config,
                        .node = node.config.runtime};
  input.container_id = record->id();
  input.sandbox_id = record->sandbox_id();
  input.rootfs = creation.rootfs;
  input.root_fd = root.get();
  input.image_volumes = creation.image_volumes;
  input.mount_sources = creation.mount_sources;
  input.own_mounts = creation.own_mounts;
  input.selinux = {.process = creation.labels.process,
                   .init = creation.labels.init,
                   .mount = creation.labels.mount};
  input.selinux_is_on = node.selinux != nullptr;
  input.declared_volumes = std::move(declared_volumes);
  input.passwd_path = AccountFile(paths, record->id(), "passwd");
  input.group_path = AccountFile(paths, record->id(), "group");
  FillNamespaceInput(creation, paths, input);
  RETURN_IF_ERROR(FillNodeInput(node, *record, input));
  RETURN_IF_ERROR(MakeDirs(paths.Bundle(record->id())));
  RETURN_IF_ERROR(ChoosePidNamespace(node, *creation.sandbox, *record, input.namespaces));
  ASSIGN_OR_RETURN(
      const spec::ForbiddenCalls forbidden,
      spec::ForbiddenCallsOf(input.sandbox, input.container, input.allowed_annotations));
  if (forbidden != spec::ForbiddenCalls::kFail) {
    input.seccomp_listener = paths.SeccompSocket(record->id());
  }
  ASSIGN_OR_RETURN(const spec::SpecOutput output, spec::BuildSpec(input));
  RETURN_IF_ERROR(WriteAccountFiles(creation, paths, record->id(), output));
  RETURN_IF_ERROR(WriteFileAtomic(paths.SpecFile(record->id()), output.config_json));
  // Saved with the row that says CREATED.
  auto next = std::make_shared<Container::Record>(*record);
  *next->mutable_user() = output.user;
  next->set_stop_signal(output.stop_signal);
  if (!output.seccomp_calls.empty()) {
    RETURN_IF_ERROR(WriteFileAtomic(paths.SeccompCalls(record->id()), output.seccomp_calls));
    next->set_forbidden_calls(forbidden == spec::ForbiddenCalls::kStop ? sv1::FORBIDDEN_CALLS_STOP
                                                                       : sv1::FORBIDDEN_CALLS_LOG);
  }
  container.set_record(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<storage::RootfsSpec> PlanRootfs(const Creation& creation,
                                               const Container::Record& record) {
  storage::RootfsSpec rootfs{.mappings = PodIdMappings(creation.sandbox->config())};
  const auto& sandbox = creation.sandbox->config();
  ASSIGN_OR_RETURN(rootfs.size_limit, RootfsSize(sandbox, record.config(),
                                                 AllowedAnnotations(creation.node.config.runtime,
                                                                    record.handler(), sandbox)));
  return rootfs;
}

// The OCI runtime looks its root file system up by path as root of the pod's user namespace. The
// directories above are open for passing (server/user_namespaces.h); this one is for that root
// alone.
absl::Status LetPodRootPass(const Creation& creation, const std::string& directory) {
  if (!spec::HasUserNamespace(creation.sandbox->config())) {
    return absl::OkStatus();
  }
  if (chown(directory.c_str(), 0, PodRoot(creation.sandbox->config()).gid) != 0 ||
      chmod(directory.c_str(), 0710) != 0) {
    return ErrnoStatus(errno, "let the root of a user namespace pass " + directory);
  }
  return absl::OkStatus();
}

absl::Status PrepareMounts(Creation& creation, Context& ctx, const Paths& paths,
                           const Container::Record& record) {
  ASSIGN_OR_RETURN(
      const MountSources sources,
      OpenMountSources(record.config(), creation.node.config.runtime.mount_sources_to_reject));
  for (const auto& [index, source] : sources) {
    creation.mount_sources[index] = source.path;
  }
  RETURN_IF_ERROR(
      RelabelSources(creation.node, ctx, *creation.sandbox, record, creation.labels, sources));
  ASSIGN_OR_RETURN(creation.own_mounts, MakeOwnMounts(paths, record, sources));
  return absl::OkStatus();
}

// Saved with the row that says CREATED.
absl::Status ChooseLabels(Creation& creation, Container& container) {
  ASSIGN_OR_RETURN(creation.labels,
                   LabelsOf(creation.node, *creation.sandbox, *container.record()));
  auto next = std::make_shared<Container::Record>(*container.record());
  next->set_selinux_mount_label(creation.labels.mount);
  container.set_record(std::move(next));
  return absl::OkStatus();
}

absl::Status Build(Creation& creation, Context& ctx, Container& container) {
  Node& node = creation.node;
  const std::string& id = container.id();
  RETURN_IF_ERROR(failpoint::Hit("create_container.after_intent"));
  ctx.SetStage("make root file system");
  ASSIGN_OR_RETURN(const storage::RootfsSpec rootfs, PlanRootfs(creation, *container.record()));
  RETURN_IF_ERROR(node.storage.CreateRootfs(id, creation.image->id, rootfs));
  RETURN_IF_ERROR(failpoint::Hit("create_container.after_rootfs"));
  RETURN_IF_ERROR(ctx.Check());
  ctx.SetStage("mount root file system");
  // Mounted here and not at the start: the user of the image is looked up in it.
  RETURN_IF_ERROR(ChooseLabels(creation, container));
  ASSIGN_OR_RETURN(creation.rootfs,
                   node.storage.MountRootfs(id, {.selinux_label = creation.labels.mount}));
  const Paths paths(node.config.storage.run);
  RETURN_IF_ERROR(LetPodRootPass(creation, paths.Container(id)));
  RETURN_IF_ERROR(failpoint::Hit("create_container.after_mount"));
  ASSIGN_OR_RETURN(
      creation.image_volumes,
      MountImageVolumes(node, ctx, *container.record(), PodIdMappings(creation.sandbox->config())));
  RETURN_IF_ERROR(failpoint::Hit("create_container.after_volumes"));
  RETURN_IF_ERROR(PrepareMounts(creation, ctx, paths, *container.record()));
  ctx.SetStage("build OCI config");
  RETURN_IF_ERROR(WriteSpec(creation, container));
  RETURN_IF_ERROR(MakeLogDirectory(container.record()->log_path()));
  RETURN_IF_ERROR(failpoint::Hit("create_container.before_created"));
  return Update(node, container, [](auto& next) { next.set_state(sv1::CONTAINER_CREATED); });
}

// As with sandboxes: what cannot be undone now stays as a container that is being removed.
void Undo(Node& node, const std::shared_ptr<Container>& container) {
  Context ctx(kUndoTimeout);
  const absl::Status undone = DestroyContainer(node, ctx, *container);
  if (!undone.ok()) {
    log::Warning(
        "container {}: undo of a failed creation did not finish, it stays to be removed: {}",
        ShortId(container->id()), Message(undone));
    node.containers.Add(container);
  }
}

absl::StatusOr<std::string> CreateNew(Node& node, Context& ctx, const Sandbox& sandbox,
                                      const v1::ContainerConfig& config, const std::string& name) {
  ASSIGN_OR_RETURN(ImagePtr image, ResolveImage(node, config));
  RETURN_IF_ERROR(CheckImagePolicy(node, ctx, *image, config.image(),
                                   sandbox.record()->config().metadata().namespace_()));
  ASSIGN_OR_RETURN(image::ImageConfig image_config, image::ParseImageConfig(image->config_json));
  Creation creation{.node = node,
                    .sandbox = sandbox.record(),
                    .image = std::move(image),
                    .image_config = std::move(image_config),
                    .rootfs = "",
                    .image_volumes = {},
                    .mount_sources = {},
                    .own_mounts = {},
                    .labels = {}};
  ASSIGN_OR_RETURN(const auto record, NewRecord(creation, ctx, config, name));
  // What StartContainer will need of the annotations is refused here, where a request can be
  // mended.
  RETURN_IF_ERROR(LogLimitsOf(node.config.runtime, record->handler(), creation.sandbox->config(),
                              record->config())
                      .status());
  RETURN_IF_ERROR(node.state.Save(*record));
  auto container = std::make_shared<Container>(record);
  absl::MutexLock lock(&container->op_mutex);
  absl::Status built = Build(creation, ctx, *container);
  if (built.ok()) {
    // First seen, then checked: a StopPodSandbox at the same time either finds the container among
    // those of the pod, or has changed the state that is checked here.
    node.containers.Add(container);
    built = CheckReady(node, sandbox);
  }
  if (!built.ok()) {
    Undo(node, container);
    return built;
  }
  PublishEvent(node, *container, v1::CONTAINER_CREATED_EVENT);
  return container->id();
}

// One at a time for each name: the caller is a flight.
absl::StatusOr<std::string> FindOrCreate(Node& node, Context& ctx, const Sandbox& sandbox,
                                         const v1::ContainerConfig& config,
                                         const std::string& name) {
  while (const auto existing = node.containers.FindByName(name)) {
    if (existing->record()->state() != sv1::CONTAINER_REMOVING) {
      return existing->id();
    }
    ctx.SetStage("finish the removal of the container before it");
    RETURN_IF_ERROR(RemoveContainerObject(node, ctx, *existing));
  }
  return CreateNew(node, ctx, sandbox, config, name);
}

}  // namespace

absl::StatusOr<v1::CreateContainerResponse> CreateContainer(
    Node& node, Context& ctx, const v1::CreateContainerRequest& request) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(request.pod_sandbox_id()));
  RETURN_IF_ERROR(CheckContainerConfig(request.config()));
  RETURN_IF_ERROR(CheckReady(node, *sandbox));
  node.cgroup_moves.KeepQuick(kUntilStart);
  const std::string name =
      ContainerName(request.config().metadata(), sandbox->record()->config().metadata());
  auto work = [&node, sandbox, config = request.config(), name](Context& op) {
    return FindOrCreate(node, op, *sandbox, config, name);
  };
  ASSIGN_OR_RETURN(std::string id,
                   node.create_container_flights.Do(ctx, name, node.config.runtime.create_timeout,
                                                    std::move(work)));
  v1::CreateContainerResponse response;
  response.set_container_id(std::move(id));
  return response;
}

}  // namespace davit::server
