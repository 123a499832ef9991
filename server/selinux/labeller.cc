// SPDX-License-Identifier: Apache-2.0
#include "server/selinux/labeller.h"

#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::selinux {
namespace {

namespace v1 = runtime::v1;

// Of containers that are not to be confined: the policy lets it do what the daemon may.
constexpr char kUnconfinedType[] = "spc_t";

bool IsEmpty(const v1::SELinuxOption& options) {
  return options.user().empty() && options.role().empty() && options.type().empty() &&
         options.level().empty();
}

absl::Status CheckOptions(const v1::SELinuxOption& options) {
  const std::pair<const char*, const std::string*> parts[] = {{"user", &options.user()},
                                                              {"role", &options.role()},
                                                              {"type", &options.type()},
                                                              {"level", &options.level()}};
  for (const auto& [name, text] : parts) {
    if (!text->empty() && !IsLabelPart(*text, name == std::string("level"))) {
      return InvalidArgument("selinux_options.{} \"{}\": holds characters that no label has", name,
                             Printable(*text));
    }
  }
  return absl::OkStatus();
}

void Take(const std::string& wanted, std::string& part) {
  if (!wanted.empty()) {
    part = wanted;
  }
}

// "s0" of "s0", "s0:c1,c2" and "s0-s0:c0.c1023".
std::string SensitivityOf(const std::string& level) {
  return level.substr(0, level.find_first_of(":-"));
}

}  // namespace

struct Labeller::Request {
  const v1::SELinuxOption& options;
  const std::string& level;
  bool unconfined;
  bool is_vm;
};

absl::StatusOr<std::unique_ptr<Labeller>> Labeller::Create(const Roots& roots,
                                                           const Settings& settings) {
  ASSIGN_OR_RETURN(Policy policy, Policy::Load(roots));
  return std::make_unique<Labeller>(std::move(policy), settings);
}

Labeller::Labeller(Policy policy, const Settings& settings)
    : policy_(std::move(policy)),
      settings_(settings),
      levels_(SensitivityOf(policy_.process().level), settings.category_range) {}

absl::StatusOr<std::string> Labeller::ReserveLevel(const v1::PodSandboxConfig& pod) {
  const auto& options = pod.linux().security_context().selinux_options();
  RETURN_IF_ERROR(CheckOptions(options));
  if (policy_.process().level.empty()) {
    return options.level();  // a policy without levels
  }
  if (options.level().empty()) {
    return levels_.Reserve();
  }
  levels_.Keep(options.level());
  return options.level();
}

void Labeller::KeepLevel(const std::string& level) {
  if (!level.empty()) {
    levels_.Keep(level);
  }
}

void Labeller::ReleaseLevel(const std::string& level) {
  if (!level.empty()) {
    levels_.Release(level);
  }
}

absl::StatusOr<Labels> Labeller::OfPod(const v1::PodSandboxConfig& pod,
                                       const std::string& level) const {
  return Compute({.options = pod.linux().security_context().selinux_options(),
                  .level = level,
                  .unconfined = false,
                  .is_vm = false});
}

absl::StatusOr<Labels> Labeller::OfContainer(const v1::PodSandboxConfig& pod,
                                             const v1::ContainerConfig& container,
                                             const std::string& level, bool is_vm) const {
  const auto& own = container.linux().security_context();
  const auto& pods = pod.linux().security_context();
  const auto& namespaces = own.namespace_options();
  const bool host_network = pods.namespace_options().network() == v1::NODE;
  return Compute(
      {.options = IsEmpty(own.selinux_options()) ? pods.selinux_options() : own.selinux_options(),
       .level = level,
       .unconfined = own.privileged() || namespaces.pid() == v1::NODE ||
                     pods.namespace_options().ipc() == v1::NODE ||
                     (host_network && !settings_.confine_host_network),
       .is_vm = is_vm});
}

absl::StatusOr<Labels> Labeller::Compute(const Request& request) const {
  const v1::SELinuxOption& options = request.options;
  RETURN_IF_ERROR(CheckOptions(options));
  Label process = request.is_vm ? policy_.kvm_process() : policy_.process();
  Label file = policy_.file();
  const bool unconfined = request.unconfined && options.type().empty();
  if (unconfined) {
    process.type = kUnconfinedType;
  }
  for (Label* label : {&process, &file}) {
    if (!unconfined || label == &file) {
      Take(request.level, label->level);
    }
    Take(options.level(), label->level);
    Take(options.user(), label->user);
  }
  Take(options.role(), process.role);
  Take(options.type(), process.type);
  RETURN_IF_ERROR(Annotate(policy_.Check(process), "selinux_options"));
  RETURN_IF_ERROR(Annotate(policy_.Check(file), "selinux_options"));
  Labels labels{.process = LabelText(process),
                .init = "",
                .mount = LabelText(file),
                .confined = process.type != kUnconfinedType};
  if (!unconfined && !request.is_vm && options.type().empty()) {
    Label init = process;
    init.type = policy_.init_process().type;
    labels.init = LabelText(init);
  }
  return labels;
}

std::string Labeller::ImageVolumeLabel() const {
  return LabelText(policy_.read_only_file());
}

}  // namespace davit::server::selinux
