// SPDX-License-Identifier: Apache-2.0
#include "server/container/log_options.h"

#include <algorithm>
#include <vector>

#include "base/id.h"
#include "base/quantity.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/annotations.h"
#include "server/workloads.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;

const std::string* Annotation(const v1::PodSandboxConfig& sandbox,
                              const v1::ContainerConfig& container, const std::string& key) {
  for (const auto* annotations : {&container.annotations(), &sandbox.annotations()}) {
    if (const auto found = annotations->find(key); found != annotations->end()) {
      return &found->second;
    }
  }
  return nullptr;
}

// 0 means no limit, in the configuration and in an annotation.
uint64_t Tighter(uint64_t node, uint64_t wanted) {
  return node == 0 || (wanted != 0 && wanted < node) ? wanted : node;
}

absl::StatusOr<uint64_t> Limit(int64_t configured, const std::string* wanted, const char* key,
                               const std::vector<std::string>& allowed_annotations) {
  const auto node = static_cast<uint64_t>(std::max<int64_t>(configured, 0));
  if (wanted == nullptr) {
    return node;
  }
  const auto value = ParseQuantity(*wanted);
  if (!value) {
    return InvalidArgument("annotation {}: \"{}\" is no size such as 500k or 10Mi", key,
                           Printable(*wanted));
  }
  return spec::IsAllowed(allowed_annotations, key) ? *value : Tighter(node, *value);
}

void AddField(std::string& fields, const char* name, const std::string& value) {
  if (!value.empty()) {
    // Printable: a newline would begin another field.
    fields += fmt::format("{}={}\n", name, Printable(value, 256));
  }
}

}  // namespace

absl::StatusOr<LogLimits> LogLimitsOf(const config::Runtime& config, const std::string& handler,
                                      const v1::PodSandboxConfig& sandbox,
                                      const v1::ContainerConfig& container) {
  const std::vector<std::string> allowed_annotations = AllowedAnnotations(config, handler, sandbox);
  LogLimits limits;
  ASSIGN_OR_RETURN(limits.rate,
                   Limit(config.log_rate_limit, Annotation(sandbox, container, kLogRateAnnotation),
                         kLogRateAnnotation, allowed_annotations));
  ASSIGN_OR_RETURN(limits.max_size,
                   Limit(config.max_log_size, Annotation(sandbox, container, kLogSizeAnnotation),
                         kLogSizeAnnotation, allowed_annotations));
  return limits;
}

std::string JournalFields(const std::string& container_id, const v1::PodSandboxConfig& sandbox,
                          const v1::ContainerConfig& container) {
  const auto& pod = sandbox.metadata();
  const std::string& name = container.metadata().name();
  std::string fields;
  AddField(fields, "SYSLOG_IDENTIFIER", name);
  AddField(fields, "CONTAINER_ID", ShortId(container_id));
  AddField(fields, "CONTAINER_ID_FULL", container_id);
  AddField(fields, "CONTAINER_NAME",
           fmt::format("k8s_{}_{}_{}_{}_{}", name, pod.name(), pod.namespace_(), pod.uid(),
                       container.metadata().attempt()));
  AddField(fields, "IMAGE_NAME", container.image().image());
  AddField(fields, "KUBERNETES_NAMESPACE", pod.namespace_());
  AddField(fields, "KUBERNETES_POD", pod.name());
  AddField(fields, "KUBERNETES_POD_UID", pod.uid());
  AddField(fields, "KUBERNETES_CONTAINER", name);
  return fields;
}

}  // namespace davit::server
