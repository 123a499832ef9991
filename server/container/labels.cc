// SPDX-License-Identifier: Apache-2.0
#include "server/container/labels.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/status.h"
#include "config/handler_settings.h"
#include "server/selinux/relabel.h"
#include "server/spec/annotations.h"
#include "server/workloads.h"

namespace davit::server {
namespace {

constexpr std::array<const char*, 3> kSkip = {spec::kSkipRelabelAnnotation,
                                              "try-skip-volume-selinux-label.crio.io",
                                              "io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel"};

bool MaySkip(const Node& node, const Sandbox::Record& sandbox, const Container::Record& container) {
  const auto allowed =
      AllowedAnnotations(node.config.runtime, container.handler(), sandbox.config());
  for (const auto* annotations :
       {&container.config().annotations(), &sandbox.config().annotations()}) {
    for (const char* key : kSkip) {
      const auto found = annotations->find(key);
      if (found != annotations->end() && spec::IsAllowed(allowed, key)) {
        return found->second == "true";
      }
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<selinux::Labels> LabelsOf(const Node& node, const Sandbox::Record& sandbox,
                                         const Container::Record& container) {
  if (node.selinux == nullptr || sandbox.selinux_level().empty()) {
    return selinux::Labels();
  }
  return node.selinux->OfContainer(
      sandbox.config(), container.config(), sandbox.selinux_level(),
      config::HandlerSettings(node.config.runtime, container.handler()).selinux_kvm);
}

absl::Status RelabelSources(const Node& node, Context& ctx, const Sandbox::Record& sandbox,
                            const Container::Record& container, const selinux::Labels& labels,
                            const MountSources& sources) {
  if (labels.mount.empty() || !labels.confined) {
    return absl::OkStatus();
  }
  const auto depth =
      MaySkip(node, sandbox, container) ? selinux::Depth::kIfNeeded : selinux::Depth::kAlways;
  for (const auto& [index, source] : sources) {
    if (container.config().mounts(index).selinux_relabel()) {
      RETURN_IF_ERROR(Annotate(selinux::Relabel(ctx, source, labels.mount, depth),
                               fmt::format("mounts[{}].selinux_relabel", index)));
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::server
