// SPDX-License-Identifier: Apache-2.0
#include <sys/ioctl.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "server/container/container_rpcs.h"
#include "server/container/exec_cpu.h"
#include "server/container/monitor_cgroup.h"
#include "server/container/running.h"
#include "server/container/stream_request.h"
#include "server/oci/exec_monitor.h"
#include "server/paths.h"
#include "server/spec/spec.h"
#include "server/streaming/server.h"

namespace davit::server {
namespace {

class ExecEndpoint final : public streaming::Endpoint {
 public:
  explicit ExecEndpoint(std::unique_ptr<oci::RunningExec> exec) : exec_(std::move(exec)) {
    in = std::move(exec_->in);
    out = std::move(exec_->out);
    err = std::move(exec_->err);
  }

  void Resize(const streaming::TerminalSize& size) override {
    winsize window = {};
    window.ws_row = size.rows;
    window.ws_col = size.columns;
    if (exec_->terminal.valid() && ioctl(exec_->terminal.get(), TIOCSWINSZ, &window) != 0) {
      log::Debug("resize the terminal of an exec: {}", ErrnoText(errno));
    }
  }
  void HangUp() override { exec_->terminal.Reset(); }
  [[nodiscard]] int exit_fd() const override { return exec_->exit_fd(); }
  absl::StatusOr<std::optional<int>> ReadExit() override { return exec_->ReadExit(); }

 private:
  std::unique_ptr<oci::RunningExec> exec_;
};

struct Command {
  std::string container_id;
  std::vector<std::string> words;
  oci::ExecStreams streams;
};

absl::StatusOr<std::unique_ptr<streaming::Endpoint>> Start(Node& node, Context& ctx,
                                                           const Command& command) {
  ASSIGN_OR_RETURN(const auto container,
                   FindRunning(node, command.container_id, "execute a command in it"));
  const auto record = container->record();
  const Paths paths(node.config.storage.run);
  ASSIGN_OR_RETURN(const auto runtime, node.runtimes.Find(record->handler()));
  ASSIGN_OR_RETURN(const std::string config, ReadFile(paths.SpecFile(record->id())));
  oci::ExecStart start;
  start.monitor_path = node.monitor_path;
  start.streams = command.streams;
  start.cpu = ExecCpu(node.config.runtime, *record);
  ASSIGN_OR_RETURN(start.process_json,
                   spec::ExecProcess(config, command.words, command.streams.tty, start.cpu));
  ASSIGN_OR_RETURN(auto exec, oci::StartExec(ctx, *runtime, record->id(),
                                             paths.ExecScratch(record->id()), start));
  ConfineMonitor(node, *record, exec->monitor_pid());
  return std::make_unique<ExecEndpoint>(std::move(exec));
}

}  // namespace

absl::StatusOr<runtime::v1::ExecResponse> Exec(Node& node, Context& /*ctx*/,
                                               const runtime::v1::ExecRequest& request) {
  ASSIGN_OR_RETURN(const auto container,
                   FindRunning(node, request.container_id(), "execute a command in it"));
  const std::string what = "exec in container " + ShortId(container->id());
  if (request.cmd().empty()) {
    return InvalidArgument("{}: the request has no command", what);
  }
  RETURN_IF_ERROR(CheckStreams(request, what));
  Command command{.container_id = container->id(),
                  .words = {request.cmd().begin(), request.cmd().end()},
                  .streams = {.in = request.stdin(),
                              .out = request.stdout(),
                              .err = request.stderr(),
                              .tty = request.tty()}};
  runtime::v1::ExecResponse response;
  ASSIGN_OR_RETURN(
      *response.mutable_url(),
      node.streaming.AddExec({.what = what,
                              .in = request.stdin(),
                              .out = request.stdout(),
                              .err = request.stderr(),
                              .tty = request.tty(),
                              .start = [&node, command = std::move(command)](Context& ctx) {
                                return Start(node, ctx, command);
                              }}));
  return response;
}

}  // namespace davit::server
