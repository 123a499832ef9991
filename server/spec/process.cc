// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/container_path.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// NAME=value entries in order of first appearance, the last value winning.
class Environment {
 public:
  void Set(const std::string& name, const std::string& value) {
    const auto [found, fresh] = index_.try_emplace(name, entries_.size());
    std::string entry = name + "=" + value;
    if (fresh) {
      entries_.push_back(std::move(entry));
    } else {
      entries_[found->second] = std::move(entry);
    }
  }
  // An entry without a name or without '=' says nothing that could be set.
  void SetEntry(const std::string& entry) {
    const size_t equals = entry.find('=');
    if (equals != std::string::npos && equals > 0) {
      Set(entry.substr(0, equals), entry.substr(equals + 1));
    }
  }
  [[nodiscard]] bool Has(const std::string& name) const { return index_.count(name) != 0; }
  [[nodiscard]] const std::vector<std::string>& entries() const { return entries_; }

 private:
  std::vector<std::string> entries_;
  std::map<std::string, size_t> index_;
};

absl::Status CheckEnv(const runtime::v1::KeyValue& env) {
  if (env.key().empty() ||
      env.key().find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
    return InvalidArgument("envs: \"{}\" is not a name of an environment variable",
                           Printable(env.key()));
  }
  if (env.value().find('\0') != std::string::npos) {
    return InvalidArgument("envs {}: the value holds a NUL byte", Printable(env.key()));
  }
  if (!IsUtf8(env.value())) {
    return InvalidArgument("envs {}: the value is not UTF-8, which an OCI config cannot carry",
                           Printable(env.key()));
  }
  return absl::OkStatus();
}

// Tools write HOME as a field of a passwd line: a line break in it would add an account.
absl::Status CheckHome(const std::vector<std::string>& entries) {
  for (const std::string& entry : entries) {
    if (entry.rfind("HOME=", 0) == 0 && entry.find_first_of("\r\n") != std::string::npos) {
      return InvalidArgument("envs HOME: must not hold a line break");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> BuildEnv(const SpecInput& input, const User& user) {
  Environment env;
  env.Set("PATH", kDefaultPath);
  if (!input.hostname.empty()) {
    env.Set("HOSTNAME", input.hostname);
  }
  if (input.container.tty()) {
    env.Set("TERM", "xterm");
  }
  for (const std::string& entry : input.node.default_env) {
    env.SetEntry(entry);
  }
  for (const std::string& entry : input.image.env) {
    env.SetEntry(entry);
  }
  for (const runtime::v1::KeyValue& entry : input.container.envs()) {
    RETURN_IF_ERROR(CheckEnv(entry));
    env.Set(entry.key(), entry.value());
  }
  if (!env.Has("HOME")) {
    env.Set("HOME", user.home);
  }
  RETURN_IF_ERROR(CheckHome(env.entries()));
  return env.entries();
}

// The request's command replaces the image's entrypoint and drops its arguments too; the request's
// args replace the image's.
absl::StatusOr<std::vector<std::string>> BuildArgs(const SpecInput& input) {
  const auto& command = input.container.command();
  const auto& args = input.container.args();
  std::vector<std::string> result(command.begin(), command.end());
  if (command.empty()) {
    result = input.image.entrypoint;
  }
  if (!args.empty()) {
    result.insert(result.end(), args.begin(), args.end());
  } else if (command.empty()) {
    result.insert(result.end(), input.image.cmd.begin(), input.image.cmd.end());
  }
  if (result.empty() || result[0].empty()) {
    return InvalidArgument("command: neither the request nor the image names a program to run");
  }
  for (const std::string& arg : result) {
    if (arg.find('\0') != std::string::npos) {
      return InvalidArgument("command: the argument \"{}\" holds a NUL byte", Printable(arg));
    }
  }
  return result;
}

// The magic links of a process lead out of the container's root to whatever the runtime has open.
bool IsBelowProcess(const std::string& path) {
  const std::vector<std::string> parts = Split(path, '/');
  if (parts.size() < 4 || parts[1] != "proc") {
    return false;
  }
  return parts[2] == "self" || parts[2] == "thread-self" || ParseUint(parts[2]).has_value();
}

absl::StatusOr<std::string> BuildCwd(const SpecInput& input) {
  const bool requested = !input.container.working_dir().empty();
  const std::string& path = requested ? input.container.working_dir() : input.image.working_dir;
  const std::string field = requested ? "working_dir" : "image working directory";
  if (path.empty()) {
    return std::string("/");
  }
  ASSIGN_OR_RETURN(std::string clean, CleanContainerPath(path, field));
  if (IsBelowProcess(clean)) {
    return InvalidArgument("{} \"{}\": must not lie beneath a process of /proc", field, clean);
  }
  return clean;
}

struct LimitName {
  std::string_view name;
  const char* oci;
  __rlimit_resource resource;
};
constexpr std::array kLimits = {
    LimitName{"as", "RLIMIT_AS", RLIMIT_AS},
    LimitName{"core", "RLIMIT_CORE", RLIMIT_CORE},
    LimitName{"cpu", "RLIMIT_CPU", RLIMIT_CPU},
    LimitName{"data", "RLIMIT_DATA", RLIMIT_DATA},
    LimitName{"fsize", "RLIMIT_FSIZE", RLIMIT_FSIZE},
    LimitName{"locks", "RLIMIT_LOCKS", RLIMIT_LOCKS},
    LimitName{"memlock", "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    LimitName{"msgqueue", "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    LimitName{"nice", "RLIMIT_NICE", RLIMIT_NICE},
    LimitName{"nofile", "RLIMIT_NOFILE", RLIMIT_NOFILE},
    LimitName{"nproc", "RLIMIT_NPROC", RLIMIT_NPROC},
    LimitName{"rss", "RLIMIT_RSS", RLIMIT_RSS},
    LimitName{"rtprio", "RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    LimitName{"rttime", "RLIMIT_RTTIME", RLIMIT_RTTIME},
    LimitName{"sigpending", "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    LimitName{"stack", "RLIMIT_STACK", RLIMIT_STACK},
};

std::optional<uint64_t> ParseLimit(const std::string& text) {
  if (text == "unlimited" || text == "-1") {
    return std::numeric_limits<uint64_t>::max();
  }
  return ParseUint(text);
}

// "nofile=1024:2048"; one number is both.
absl::StatusOr<Json> ParseUlimit(const SpecInput& input, const std::string& text) {
  const size_t equals = text.find('=');
  const std::string name = Lower(text.substr(0, equals));
  const auto* const limit = std::find_if(kLimits.begin(), kLimits.end(),
                                         [&](const LimitName& each) { return each.name == name; });
  const std::string values = equals == std::string::npos ? "" : text.substr(equals + 1);
  const size_t colon = values.find(':');
  const std::optional<uint64_t> soft = ParseLimit(values.substr(0, colon));
  const std::optional<uint64_t> hard =
      colon == std::string::npos ? soft : ParseLimit(values.substr(colon + 1));
  if (limit == kLimits.end() || !soft || !hard || *soft > *hard) {
    return FailedPrecondition(
        "default_ulimits \"{}\": must be name=soft:hard with a name such as nofile", text);
  }
  struct rlimit own = {};
  if (input.own_capabilities.count("CAP_SYS_RESOURCE") == 0 &&
      getrlimit(limit->resource, &own) == 0 && *hard > own.rlim_max) {
    return FailedPrecondition(
        "default_ulimits \"{}\": above davit's own hard limit {}, which it may not exceed without "
        "CAP_SYS_RESOURCE; lower the limit",
        text, own.rlim_max);
  }
  return Json{{"type", limit->oci}, {"soft", *soft}, {"hard", *hard}};
}

absl::StatusOr<Json> BuildRlimits(const SpecInput& input) {
  std::map<std::string, Json> by_type;  // the last of a kind wins; runtimes refuse duplicates
  for (const std::string& text : input.node.default_ulimits) {
    ASSIGN_OR_RETURN(Json limit, ParseUlimit(input, text));
    const std::string type = JsonString(limit, "type");
    by_type[type] = std::move(limit);
  }
  Json list = Json::array();
  for (auto& [type, limit] : by_type) {
    list.push_back(std::move(limit));
  }
  return list;
}

absl::StatusOr<int64_t> BuildOomScore(const SpecInput& input) {
  const int64_t requested = input.container.linux().resources().oom_score_adj();
  if (requested < -1000 || requested > 1000) {
    return InvalidArgument("oom_score_adj {}: must be from -1000 to 1000", requested);
  }
  return std::max<int64_t>(requested, input.lowest_oom_score_adj);
}

}  // namespace

absl::StatusOr<Json> BuildProcess(const SpecInput& input, const User& user,
                                  const Capabilities& capabilities) {
  Json process;
  process["terminal"] = input.container.tty();
  process["user"] = {{"uid", user.uid}, {"gid", user.gid}, {"additionalGids", user.groups}};
  ASSIGN_OR_RETURN(process["args"], BuildArgs(input));
  ASSIGN_OR_RETURN(process["env"], BuildEnv(input, user));
  ASSIGN_OR_RETURN(process["cwd"], BuildCwd(input));
  process["capabilities"] = CapabilitiesJson(capabilities);
  ASSIGN_OR_RETURN(process["rlimits"], BuildRlimits(input));
  process["noNewPrivileges"] = SecurityContext(input).no_new_privs();
  ASSIGN_OR_RETURN(process["oomScoreAdj"], BuildOomScore(input));
  return process;
}

}  // namespace davit::server::spec
