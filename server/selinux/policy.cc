// SPDX-License-Identifier: Apache-2.0
#include "server/selinux/policy.h"

#include <map>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::selinux {
namespace {

constexpr size_t kMaxFile = 1U << 20U;

// Lines of `key = value`, the value perhaps in quotes; "#" begins a comment.
std::map<std::string, std::string> ParseKeys(const std::string& text) {
  std::map<std::string, std::string> keys;
  for (const std::string& line : Split(text, '\n')) {
    const std::string_view trimmed = Trim(line);
    const size_t equals = trimmed.find('=');
    if (trimmed.empty() || trimmed.front() == '#' || equals == std::string_view::npos) {
      continue;
    }
    std::string_view value = Trim(trimmed.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    keys[std::string(Trim(trimmed.substr(0, equals)))] = std::string(value);
  }
  return keys;
}

absl::StatusOr<std::map<std::string, std::string>> ReadKeys(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxFile);
  if (!text.ok()) {
    return FailedPrecondition("SELinux is on, but {}; install the machine's policy",
                              Message(text.status()));
  }
  return ParseKeys(*text);
}

}  // namespace

absl::StatusOr<Policy> Policy::Load(const Roots& roots) {
  Policy policy;
  policy.kernel_ = JoinPath(roots.sys, "fs/selinux");
  if (!PathExists(JoinPath(policy.kernel_, "enforce"))) {
    return NotFound("the kernel has no SELinux, or has it off");
  }
  ASSIGN_OR_RETURN(auto config, ReadKeys(JoinPath(roots.etc, "selinux/config")));
  const std::string& name = config["SELINUXTYPE"];
  if (name.empty() || name.find('/') != std::string::npos || name.front() == '.') {
    return FailedPrecondition("{}/selinux/config: SELINUXTYPE \"{}\" names no policy", roots.etc,
                              Printable(name));
  }
  const std::string path = fmt::format("{}/selinux/{}/contexts/lxc_contexts", roots.etc, name);
  ASSIGN_OR_RETURN(auto contexts, ReadKeys(path));
  const std::pair<const char*, std::pair<Label*, const char*>> wanted[] = {
      {"process", {&policy.process_, "system_u:system_r:container_t:s0"}},
      {"init_process", {&policy.init_process_, "system_u:system_r:container_init_t:s0"}},
      {"kvm_process", {&policy.kvm_process_, "system_u:system_r:container_kvm_t:s0"}},
      {"file", {&policy.file_, "system_u:object_r:container_file_t:s0"}},
      {"ro_file", {&policy.read_only_file_, "system_u:object_r:container_ro_file_t:s0"}},
  };
  for (const auto& [key, place] : wanted) {
    const std::string& given = contexts[key];
    auto label = ParseLabel(given.empty() ? place.second : given);
    if (!label.ok()) {
      return FailedPrecondition("{}: {}: {}", path, key, Message(label.status()));
    }
    *place.first = *std::move(label);
  }
  return policy;
}

absl::Status Policy::Check(const Label& label) const {
  const std::string text = LabelText(label);
  const absl::Status known =
      WriteExisting(JoinPath(kernel_, "context"), {text.c_str(), text.size() + 1});
  return absl::IsInvalidArgument(known)
             ? InvalidArgument("the SELinux policy of this machine has no label {}", text)
             : known;
}

}  // namespace davit::server::selinux
