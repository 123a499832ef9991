// SPDX-License-Identifier: Apache-2.0
#include "server/oci/runtime.h"

#include <utility>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "server/oci/runtime_error.h"
#include "server/oci/runtime_mounts.h"
#include "server/oci/sealed_program.h"

namespace davit::server::oci {
namespace {

bool ArrayHolds(const nlohmann::json& array, const char* value) {
  if (!array.is_array()) {
    return false;
  }
  for (const auto& item : array) {
    if (item.is_string() && item.get_ref<const std::string&>() == value) {
      return true;
    }
  }
  return false;
}

// The `features` document of the OCI runtime specification.
RuntimeFeatures ParseFeatures(const nlohmann::json& document) {
  RuntimeFeatures features;
  features.recursive_read_only_mounts = ArrayHolds(JsonChild(document, "mountOptions"), "rro");
  const nlohmann::json& linux_part = JsonChild(document, "linux");
  features.user_namespaces = ArrayHolds(JsonChild(linux_part, "namespaces"), "user");
  return features;
}

// In a session of its own: all of it is killed when the context ends.
SpawnOptions Command(std::vector<std::string> argv) {
  SpawnOptions options;
  options.argv = std::move(argv);
  options.env = MinimalEnv();
  options.new_session = true;
  return options;
}

std::string WhatItSaid(const RunResult& result) {
  const std::string_view text = Trim(Trim(result.err).empty() ? result.out : result.err);
  return text.empty() ? fmt::format("exit code {}", result.exit.code) : Printable(text, 2000);
}

}  // namespace

void PassRuntime(const RuntimeLaunch& launch, int first_fd, SpawnOptions& spawn) {
  const auto pass = [&](const char* option, int fd) {
    if (fd >= 0) {
      spawn.argv.insert(spawn.argv.end(), {option, std::to_string(first_fd)});
      spawn.fds.push_back({fd, first_fd++});
    }
  };
  pass("--runtime-fd", launch.program == nullptr ? -1 : launch.program->get());
  pass("--mount-ns-fd", launch.mount_namespace);
}

absl::Status Runtime::Probe(Context& ctx) {
  auto version = Run(ctx, Command({path_, "--version"}));
  if (!version.ok()) {
    return FailedPrecondition("OCI runtime {}: {}", name_, Message(version.status()));
  }
  const std::vector<std::string> words = Words(Split(version->out, '\n')[0]);
  if (version->exit.code != 0 || words.empty()) {
    return FailedPrecondition("OCI runtime {}: `{} --version` failed: {}", name_, path_,
                              WhatItSaid(*version));
  }
  program_ = words.front();  // "crun version 1.8.1"
  version_ = words.back();
  // A third of what its exec takes. runc's second start of itself is another process anyway. With
  // SELinux the label of the file counts.
  if (program_ == "crun" && !PathExists("/sys/fs/selinux/enforce")) {
    sealed_ = std::make_shared<const SealedProgram>(path_);
    sealed_->Get();  // made now: it is not for a pod to wait for
  }
  auto features = Run(ctx, Command({path_, "features"}));
  RETURN_IF_ERROR(features.status());
  if (features->exit.code != 0) {  // runtimes before the features document do not know the command
    features_.user_namespaces = program_ == "crun";  // has always had them
  } else if (const auto document = ParseJson(features->out, "features of " + path_);
             document.ok()) {
    features_ = ParseFeatures(*document);
  }
  return absl::OkStatus();
}

RuntimeLaunch Runtime::Launch() const {
  return {.program = sealed_ == nullptr ? nullptr : sealed_->Get(),
          .mount_namespace = mounts_ == nullptr ? -1 : mounts_->lean()};
}

absl::StatusOr<RunResult> Runtime::Call(Context& ctx, std::vector<std::string> args,
                                        std::string_view input) const {
  args.insert(args.begin(), {path_, "--root", root_});
  const RuntimeLaunch launch = Launch();
  SpawnOptions command = Command(std::move(args));
  command.program = launch.program == nullptr ? -1 : launch.program->get();
  command.mount_namespace = launch.mount_namespace;
  return Run(ctx, command, RunOptions{.input = input});
}

absl::Status Runtime::Delete(Context& ctx, const std::string& id) const {
  ctx.SetStage("oci runtime delete");
  // Among all mounts of the node: poststop hooks may look at anything.
  ASSIGN_OR_RETURN(const RunResult result,
                   Run(ctx, Command({path_, "--root", root_, "delete", "--force", id})));
  if (result.exit.code == 0 || IsUnknownContainer(result.err)) {
    return absl::OkStatus();
  }
  return Internal("delete container {}: {}", ShortId(id), WhatItSaid(result));
}

absl::Status Runtime::Update(Context& ctx, const std::string& id,
                             const std::string& resources_json) const {
  ctx.SetStage("oci runtime update");
  ASSIGN_OR_RETURN(const RunResult result,
                   Call(ctx, {"update", "--resources", "-", id}, resources_json));
  if (result.exit.code == 0) {
    return absl::OkStatus();
  }
  return RuntimeErrorStatus("update container " + ShortId(id), WhatItSaid(result));
}

}  // namespace davit::server::oci
