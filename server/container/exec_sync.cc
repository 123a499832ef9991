// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/status.h"
#include "base/text.h"
#include "server/container/container_rpcs.h"
#include "server/container/exec_cpu.h"
#include "server/container/running.h"
#include "server/paths.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

// Begins the grace period that the OCI runtime would begin, and wait for, some milliseconds later.
constexpr std::chrono::milliseconds kUntilMoved{0};
constexpr int64_t kLongestTimeoutSeconds = int64_t{366} * 24 * 3600;

absl::StatusOr<oci::ExecResult> Exec(Node& node, Context& ctx, const Container& container,
                                     const std::vector<std::string>& command) {
  const auto record = container.record();
  const Paths paths(node.config.storage.run);
  ASSIGN_OR_RETURN(const auto runtime, node.runtimes.Find(record->handler()));
  ASSIGN_OR_RETURN(const std::string config, ReadFile(paths.SpecFile(record->id())));
  oci::ExecOptions options;
  options.cpu = ExecCpu(node.config.runtime, *record);
  ASSIGN_OR_RETURN(options.process_json,
                   spec::ExecProcess(config, command, /*tty=*/false, options.cpu));
  const std::string scratch = paths.ExecScratch(record->id());
  RETURN_IF_ERROR(MakeDirs(scratch));
  return runtime->Exec(ctx, record->id(), scratch, options);
}

}  // namespace

absl::StatusOr<runtime::v1::ExecSyncResponse> ExecSync(
    Node& node, Context& ctx, const runtime::v1::ExecSyncRequest& request) {
  ASSIGN_OR_RETURN(const auto container,
                   FindRunning(node, request.container_id(), "execute a command in it"));
  const std::vector<std::string> command(request.cmd().begin(), request.cmd().end());
  if (command.empty()) {
    return InvalidArgument("exec in container {}: the request has no command",
                           ShortId(container->id()));
  }
  node.cgroup_moves.KeepQuick(kUntilMoved);
  const int64_t timeout = std::min(request.timeout(), kLongestTimeoutSeconds);
  Context limited(ctx, timeout > 0 ? Context::Clock::duration(std::chrono::seconds(timeout))
                                   : Context::Clock::duration(std::chrono::hours(24 * 366)));
  limited.SetStage("exec");
  auto result = Exec(node, limited, *container, command);
  if (absl::IsDeadlineExceeded(result.status()) && timeout > 0 && ctx.Check().ok()) {
    return DeadlineExceeded("command {} in container {} timed out after {} s and was killed",
                            Printable(Join(command, " ")), ShortId(container->id()), timeout);
  }
  RETURN_IF_ERROR(result.status());
  runtime::v1::ExecSyncResponse response;
  response.set_exit_code(result->exit_code);
  response.set_stdout(std::move(result->out));
  response.set_stderr(std::move(result->err));
  return response;
}

}  // namespace davit::server
