// SPDX-License-Identifier: Apache-2.0
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

constexpr size_t kMaxProfile = 4U << 20U;
constexpr std::string_view kLocalhostPrefix = "localhost/";

// This machine, in the words of libseccomp and of profiles.
#if defined(__x86_64__)
constexpr char kProfileArch[] = "amd64";
constexpr std::array<const char*, 3> kArchitectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86",
                                                       "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
constexpr char kProfileArch[] = "arm64";
constexpr std::array<const char*, 2> kArchitectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#elif defined(__riscv)
constexpr char kProfileArch[] = "riscv64";
constexpr std::array<const char*, 1> kArchitectures = {"SCMP_ARCH_RISCV64"};
#elif defined(__powerpc64__)
constexpr char kProfileArch[] = "ppc64le";
constexpr std::array<const char*, 1> kArchitectures = {"SCMP_ARCH_PPC64LE"};
#elif defined(__s390x__)
constexpr char kProfileArch[] = "s390x";
constexpr std::array<const char*, 1> kArchitectures = {"SCMP_ARCH_S390X"};
#else
#error "name this architecture for seccomp"
#endif

constexpr std::array<std::string_view, 9> kActions = {
    "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO",        "SCMP_ACT_KILL",
    "SCMP_ACT_LOG",   "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",  "SCMP_ACT_TRACE",        "SCMP_ACT_NOTIFY"};
constexpr std::array<std::string_view, 7> kOperators = {
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
    "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};

template <size_t N>
bool Contains(const std::array<std::string_view, N>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::vector<std::string> Strings(const Json& object, const char* key) {
  std::vector<std::string> list;
  for (const Json& value : JsonChild(object, key)) {
    if (value.is_string()) {
      list.push_back(value.get<std::string>());
    }
  }
  return list;
}

bool Lists(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

absl::Status CheckAction(const std::string& action, const std::string& what) {
  if (action == "SCMP_ACT_NOTIFY") {
    return Unimplemented("{}: action SCMP_ACT_NOTIFY is not supported", what);
  }
  if (!Contains(kActions, action)) {
    return InvalidArgument("{}: unknown action \"{}\"", what, Printable(action));
  }
  return absl::OkStatus();
}

// "5.10" against the running kernel; a version that does not parse is taken as met.
bool KernelAtLeast(const std::string& wanted) {
  struct utsname name = {};
  if (wanted.empty() || uname(&name) != 0) {
    return true;
  }
  const auto parse = [](std::string_view text) {
    std::array<uint64_t, 2> version = {};
    const std::vector<std::string> parts = Split(text, '.');
    for (size_t i = 0; i < version.size() && i < parts.size(); ++i) {
      const size_t digits = std::min(parts[i].find_first_not_of("0123456789"), parts[i].size());
      version[i] = ParseUint(std::string_view(parts[i]).substr(0, digits)).value_or(0);
    }
    return version;
  };
  return parse(name.release) >= parse(wanted);
}

// Whether a rule is meant for this machine, kernel and set of capabilities.
bool Applies(const Json& rule, const std::set<std::string>& capabilities) {
  const Json& includes = JsonChild(rule, "includes");
  const Json& excludes = JsonChild(rule, "excludes");
  const std::vector<std::string> needed = Strings(includes, "caps");
  const std::vector<std::string> unwanted = Strings(excludes, "caps");
  const auto held = [&](const std::string& name) { return capabilities.count(name) != 0; };
  if (!std::all_of(needed.begin(), needed.end(), held) ||
      std::any_of(unwanted.begin(), unwanted.end(), held)) {
    return false;
  }
  const std::vector<std::string> arches = Strings(includes, "arches");
  if ((!arches.empty() && !Lists(arches, kProfileArch)) ||
      Lists(Strings(excludes, "arches"), kProfileArch)) {
    return false;
  }
  const std::string newest = JsonString(excludes, "minKernel");
  return KernelAtLeast(JsonString(includes, "minKernel")) &&
         (newest.empty() || !KernelAtLeast(newest));
}

absl::StatusOr<Json> ConvertArg(const Json& arg, const std::string& what) {
  const std::string op = JsonString(arg, "op");
  const int64_t index = JsonInt(arg, "index", -1);
  if (index < 0 || index > 5 || !Contains(kOperators, op) || !arg.contains("value") ||
      !arg["value"].is_number_integer()) {
    return InvalidArgument("{}: an args entry needs index 0 to 5, value and a known op", what);
  }
  Json result = {{"index", index}, {"value", arg["value"]}, {"op", op}};
  if (arg.contains("valueTwo") && arg["valueTwo"].is_number_integer()) {
    result["valueTwo"] = arg["valueTwo"];
  }
  return result;
}

// A rule in the runtime's form, null if it is not meant for this container.
absl::StatusOr<Json> ConvertRule(const Json& rule, const std::set<std::string>& capabilities,
                                 const std::string& what) {
  if (!rule.is_object()) {
    return InvalidArgument("{}: syscalls holds something else than rules", what);
  }
  if (!Applies(rule, capabilities)) {
    return Json();
  }
  std::vector<std::string> names = Strings(rule, "names");
  if (const std::string name = JsonString(rule, "name"); !name.empty()) {
    names.push_back(name);
  }
  if (names.empty()) {
    return InvalidArgument("{}: a rule has no names", what);
  }
  const std::string action = JsonString(rule, "action");
  RETURN_IF_ERROR(CheckAction(action, what));
  Json result = {{"names", names}, {"action", action}};
  if (rule.contains("errnoRet") && rule["errnoRet"].is_number_unsigned()) {
    result["errnoRet"] = rule["errnoRet"];
  }
  for (const Json& arg : JsonChild(rule, "args")) {
    ASSIGN_OR_RETURN(Json converted, ConvertArg(arg, what));
    result["args"].push_back(std::move(converted));
  }
  return result;
}

// The profile's own list, or what its archMap says of this machine, or this machine's.
std::vector<std::string> ProfileArchitectures(const Json& profile) {
  std::vector<std::string> list = Strings(profile, "architectures");
  for (const Json& entry : JsonChild(profile, "archMap")) {
    const std::string architecture = JsonString(entry, "architecture");
    if (list.empty() && architecture == kArchitectures[0]) {
      list = Strings(entry, "subArchitectures");
      list.insert(list.begin(), architecture);
    }
  }
  return list.empty() ? SeccompArchitectures() : list;
}

absl::StatusOr<Json> ReadProfile(const std::string& path, const Capabilities& capabilities) {
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos) {
    return InvalidArgument("seccomp.localhost_ref \"{}\": must be the absolute path of a profile",
                           Printable(path));
  }
  const std::string what = "seccomp profile " + Printable(path);
  absl::StatusOr<std::string> text = ReadFile(path, kMaxProfile);
  if (absl::IsNotFound(text.status())) {
    return InvalidArgument("{}: no such file; install the profile on this node", what);
  }
  if (!text.ok()) {
    return Annotate(text.status(), what);
  }
  ASSIGN_OR_RETURN(const Json profile, ParseJson(*text, what));
  return ConvertSeccompProfile(profile, capabilities.granted, what);
}

absl::StatusOr<Json> FromPath(const std::string& text, const Capabilities& capabilities) {
  if (text.empty() || text == "unconfined") {
    return Json();
  }
  if (text == "runtime/default" || text == "docker/default") {
    return DefaultSeccomp(capabilities.granted);
  }
  if (text.rfind(kLocalhostPrefix, 0) == 0) {
    return ReadProfile(text.substr(kLocalhostPrefix.size()), capabilities);
  }
  return InvalidArgument(
      "seccomp_profile_path \"{}\": must be runtime/default, unconfined or localhost/PATH",
      Printable(text));
}

}  // namespace

std::vector<std::string> SeccompArchitectures() {
  return {kArchitectures.begin(), kArchitectures.end()};
}

absl::StatusOr<Json> ConvertSeccompProfile(const Json& profile,
                                           const std::set<std::string>& capabilities,
                                           const std::string& what) {
  if (!profile.is_object()) {
    return InvalidArgument("{}: is not a JSON object", what);
  }
  for (const char* key : {"listenerPath", "listenerMetadata"}) {
    if (!JsonString(profile, key).empty()) {
      return Unimplemented("{}: {} is not supported", what, key);
    }
  }
  const std::string action = JsonString(profile, "defaultAction");
  RETURN_IF_ERROR(CheckAction(action, what + ": defaultAction"));
  Json result = {{"defaultAction", action}, {"architectures", ProfileArchitectures(profile)}};
  if (profile.contains("defaultErrnoRet") && profile["defaultErrnoRet"].is_number_unsigned()) {
    result["defaultErrnoRet"] = profile["defaultErrnoRet"];
  }
  if (const std::vector<std::string> flags = Strings(profile, "flags"); !flags.empty()) {
    result["flags"] = flags;
  }
  Json rules = Json::array();
  for (const Json& rule : JsonChild(profile, "syscalls")) {
    ASSIGN_OR_RETURN(Json converted, ConvertRule(rule, capabilities, what));
    if (!converted.is_null()) {
      rules.push_back(std::move(converted));
    }
  }
  result["syscalls"] = std::move(rules);
  return result;
}

absl::StatusOr<Json> BuildSeccomp(const SpecInput& input, const Capabilities& capabilities) {
  using runtime::v1::SecurityProfile;
  if (IsPrivileged(input)) {
    return Json();
  }
  const auto& context = SecurityContext(input);
  if (!context.has_seccomp()) {
    return FromPath(context.seccomp_profile_path(), capabilities);
  }
  switch (context.seccomp().profile_type()) {
    case SecurityProfile::RuntimeDefault:
      return DefaultSeccomp(capabilities.granted);
    case SecurityProfile::Unconfined:
      return Json();
    case SecurityProfile::Localhost: {
      const std::string& reference = context.seccomp().localhost_ref();
      const bool prefixed = reference.rfind(kLocalhostPrefix, 0) == 0;
      return ReadProfile(prefixed ? reference.substr(kLocalhostPrefix.size()) : reference,
                         capabilities);
    }
    default:
      return InvalidArgument("seccomp.profile_type {}: unknown value",
                             static_cast<int>(context.seccomp().profile_type()));
  }
}

}  // namespace davit::server::spec
