// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

using Request = runtime::v1::LinuxContainerResources;

absl::Status CheckAtLeast(int64_t value, int64_t minimum, const std::string& field) {
  if (value < minimum) {
    return InvalidArgument("resources.{} {}: must be at least {}", field, value, minimum);
  }
  return absl::OkStatus();
}

absl::Status CheckCpuList(const std::string& list, const std::string& field) {
  if (list.find_first_not_of("0123456789,-") != std::string::npos) {
    return InvalidArgument("resources.{} \"{}\": must be a list such as 0-2,7", field,
                           Printable(list));
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> BuildCpu(const Request& request) {
  RETURN_IF_ERROR(CheckAtLeast(request.cpu_shares(), 0, "cpu_shares"));
  RETURN_IF_ERROR(CheckAtLeast(request.cpu_period(), 0, "cpu_period"));
  RETURN_IF_ERROR(CheckAtLeast(request.cpu_quota(), -1, "cpu_quota"));
  RETURN_IF_ERROR(CheckCpuList(request.cpuset_cpus(), "cpuset_cpus"));
  RETURN_IF_ERROR(CheckCpuList(request.cpuset_mems(), "cpuset_mems"));
  Json cpu = Json::object();
  if (request.cpu_shares() != 0) {
    cpu["shares"] = request.cpu_shares();
  }
  if (request.cpu_period() != 0) {
    cpu["period"] = request.cpu_period();
  }
  // No quota is what a new cgroup has, and crun 1.8 writes -1 as a number without sign, which the
  // kernel refuses.
  if (request.cpu_quota() > 0) {
    cpu["quota"] = request.cpu_quota();
  }
  if (!request.cpuset_cpus().empty()) {
    cpu["cpus"] = request.cpuset_cpus();
  }
  if (!request.cpuset_mems().empty()) {
    cpu["mems"] = request.cpuset_mems();
  }
  return cpu;
}

// Kernels without swap accounting have no file to write a swap limit to. The root cgroup of v2 has
// none either, so any cgroup beneath it is asked.
bool HasSwapAccounting(bool cgroup_v2, const std::string& sys_root) {
  const std::string root = JoinPath(sys_root, "fs/cgroup");
  if (!cgroup_v2) {
    return PathExists(JoinPath(root, "memory/memory.memsw.limit_in_bytes"));
  }
  const absl::StatusOr<std::vector<std::string>> names = ListDir(root);
  return names.ok() && std::any_of(names->begin(), names->end(), [&root](const std::string& name) {
           return PathExists(JoinPath(JoinPath(root, name), "memory.swap.max"));
         });
}

// Without a word on swap a container gets none: its swap limit, which counts memory and swap
// together, is its memory limit.
absl::StatusOr<Json> BuildMemory(const Request& request, bool cgroup_v2,
                                 const std::string& sys_root) {
  const int64_t limit = request.memory_limit_in_bytes();
  const int64_t swap = request.memory_swap_limit_in_bytes();
  RETURN_IF_ERROR(CheckAtLeast(limit, -1, "memory_limit_in_bytes"));
  RETURN_IF_ERROR(CheckAtLeast(swap, -1, "memory_swap_limit_in_bytes"));
  if (swap > 0 && limit > swap) {
    return InvalidArgument(
        "resources.memory_swap_limit_in_bytes {}: counts memory and swap together, so it must be "
        "at "
        "least memory_limit_in_bytes {}",
        swap, limit);
  }
  Json memory = Json::object();
  if (limit != 0) {
    memory["limit"] = limit;
  }
  if (swap == 0 && limit == 0) {
    return memory;
  }
  if (HasSwapAccounting(cgroup_v2, sys_root)) {
    memory["swap"] = swap != 0 ? swap : limit;
  } else if (swap > 0 && swap != limit) {
    return FailedPrecondition(
        "resources.memory_swap_limit_in_bytes {}: this kernel does not count swap for cgroups; "
        "boot "
        "it with swapaccount=1 or leave the limit out",
        swap);
  }
  return memory;
}

bool IsPageSize(const std::string& text) {
  const size_t unit = text.find_first_not_of("0123456789");
  return unit != 0 && unit != std::string::npos && text.size() == unit + 2 &&
         std::string_view("KMG").find(text[unit]) != std::string_view::npos && text.back() == 'B';
}

bool HasHugetlb(const std::string& page_size, bool cgroup_v2, const std::string& sys_root) {
  const std::string root = JoinPath(sys_root, "fs/cgroup");
  if (!cgroup_v2) {
    return PathExists(JoinPath(root, "hugetlb/hugetlb." + page_size + ".limit_in_bytes"));
  }
  const absl::StatusOr<std::string> names = ReadFile(JoinPath(root, "cgroup.controllers"));
  if (!names.ok()) {
    return false;
  }
  const std::vector<std::string> controllers = Words(*names);
  return std::find(controllers.begin(), controllers.end(), "hugetlb") != controllers.end();
}

absl::StatusOr<Json> BuildHugepages(const Request& request, bool cgroup_v2,
                                    const std::string& sys_root) {
  Json limits = Json::array();
  for (const runtime::v1::HugepageLimit& limit : request.hugepage_limits()) {
    if (!IsPageSize(limit.page_size())) {
      return InvalidArgument("resources.hugepage_limits \"{}\": must be a page size such as 2MB",
                             Printable(limit.page_size()));
    }
    if (HasHugetlb(limit.page_size(), cgroup_v2, sys_root)) {
      limits.push_back({{"pageSize", limit.page_size()}, {"limit", limit.limit()}});
    } else if (limit.limit() != 0) {
      return FailedPrecondition(
          "resources.hugepage_limits {}: this host has no hugetlb cgroup controller for that size",
          limit.page_size());
    }
    // The kubelet names every size of the node with limit 0, controller or not.
  }
  return limits;
}

absl::StatusOr<Json> BuildUnified(const Request& request, bool cgroup_v2) {
  Json unified = Json::object();
  for (const auto& [key, value] : request.unified()) {
    if (!cgroup_v2) {
      return FailedPrecondition("resources.unified {}: this host runs cgroup v1", Printable(key));
    }
    const bool key_fits =
        !key.empty() && key.front() != '.' && std::all_of(key.begin(), key.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                 c == '-' || (c >= 'A' && c <= 'Z');
        });
    if (!key_fits) {
      return InvalidArgument("resources.unified \"{}\": is not a name of a cgroup file",
                             Printable(key));
    }
    if (value.find_first_of(std::string_view("\n\0", 2)) != std::string::npos) {
      return InvalidArgument("resources.unified {}: the value holds a line break or a NUL byte",
                             key);
    }
    unified[key] = value;
  }
  return unified;
}

void SetUnlessEmpty(Json& object, const char* key, Json value) {
  if (!value.empty()) {
    object[key] = std::move(value);
  }
}

}  // namespace

absl::StatusOr<Json> BuildResources(const Request& request, bool cgroup_v2,
                                    const std::string& sys_root) {
  Json resources = Json::object();
  ASSIGN_OR_RETURN(Json cpu, BuildCpu(request));
  ASSIGN_OR_RETURN(Json memory, BuildMemory(request, cgroup_v2, sys_root));
  ASSIGN_OR_RETURN(Json hugepages, BuildHugepages(request, cgroup_v2, sys_root));
  ASSIGN_OR_RETURN(Json unified, BuildUnified(request, cgroup_v2));
  SetUnlessEmpty(resources, "cpu", std::move(cpu));
  SetUnlessEmpty(resources, "memory", std::move(memory));
  SetUnlessEmpty(resources, "hugepageLimits", std::move(hugepages));
  SetUnlessEmpty(resources, "unified", std::move(unified));
  return resources;
}

absl::StatusOr<std::string> UpdateResources(const Request& resources, bool cgroup_v2) {
  ASSIGN_OR_RETURN(const Json json, BuildResources(resources, cgroup_v2, "/sys"));
  return DumpJson(json);
}

}  // namespace davit::server::spec
