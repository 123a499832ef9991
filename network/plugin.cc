// SPDX-License-Identifier: Apache-2.0
#include "network/plugin.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "base/time.h"
#include "network/result.h"

namespace davit::network {
namespace {

constexpr size_t kMaxOutput = 1U << 20U;

std::string Entry(const char* name, std::string_view value) {
  std::string result(name);
  result += '=';
  result += value;
  return result;
}

// "plugin bridge of network davit0 (ADD)"
std::string Describe(const PluginCall& call) {
  return fmt::format("plugin {} of network {} ({})", call.type, call.network, call.command);
}

absl::Status StartError(const PluginCall& call, const std::string& path, const absl::Status& why) {
  return Internal("{}: cannot execute {}: {}", Describe(call), path, Message(why));
}

absl::Status EndedByContext(const PluginCall& call, absl::StatusCode code,
                            Context::Clock::time_point begin) {
  const auto took =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Context::Clock::now() - begin);
  return absl::Status(code,
                      fmt::format("{} {} {} and was killed", Describe(call),
                                  code == absl::StatusCode::kCancelled ? "was cancelled after"
                                                                       : "did not finish within",
                                  HumanDuration(took.count())));
}

bool IsExecutableFile(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

}  // namespace

PluginRunner::PluginRunner(std::vector<std::string> dirs)
    : dirs_(std::move(dirs)), env_(MinimalEnv()) {
  env_.push_back("CNI_PATH=" + Join(dirs_, ":"));
  env_.push_back(Entry("CNI_IFNAME", kInterfaceName));
}

absl::StatusOr<std::string> PluginRunner::Find(const std::string& type) const {
  for (const std::string& dir : dirs_) {
    std::string path = JoinPath(dir, type);
    if (IsExecutableFile(path)) {
      return path;
    }
  }
  return FailedPrecondition(
      "network plugin {} is missing in {}: install it (Debian: containernetworking-plugins) or set "
      "network.plugin_dirs",
      type, Join(dirs_, ", "));
}

absl::Status PluginRunner::FindAll(const NetworkConfig& network) const {
  for (const PluginConfig& plugin : network.plugins) {
    for (const std::string* type : {&plugin.type, &plugin.ipam_type}) {
      if (type->empty()) {
        continue;
      }
      if (const absl::Status found = Find(*type).status(); !found.ok()) {
        return Annotate(found, network.file);
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> PluginRunner::Run(Context& ctx, const PluginCall& call) const {
  ASSIGN_OR_RETURN(const std::string path, Find(std::string(call.type)));
  SpawnOptions spawn;
  spawn.argv = {path};
  spawn.env = env_;
  spawn.env.push_back(Entry("CNI_COMMAND", call.command));
  spawn.env.push_back(Entry("CNI_CONTAINERID", call.container_id));
  spawn.env.push_back(Entry("CNI_NETNS", call.netns));
  spawn.env.push_back(Entry("CNI_ARGS", call.args));
  spawn.new_session = true;
  const auto begin = Context::Clock::now();
  absl::StatusOr<RunResult> run =
      davit::Run(ctx, spawn, RunOptions{.input = call.input, .max_output = kMaxOutput});
  if (!run.ok()) {
    return ctx.Check().ok() ? StartError(call, path, run.status())
                            : EndedByContext(call, run.status().code(), begin);
  }
  if (run->exit.signal != 0) {
    return Internal("{}: it was killed by signal {}", Describe(call), run->exit.signal);
  }
  if (run->exit.code != 0) {
    return Internal("{}: {}", Describe(call), PluginErrorText(run->exit.code, run->out, run->err));
  }
  if (run->truncated) {
    return Internal("{}: it printed more than {}", Describe(call), HumanBytes(kMaxOutput));
  }
  return std::move(run->out);
}

}  // namespace davit::network
