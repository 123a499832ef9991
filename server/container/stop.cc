// SPDX-License-Identifier: Apache-2.0
#include "server/container/stop.h"

#include <signal.h>

#include "base/failpoint.h"
#include "base/id.h"
#include "base/status.h"
#include "base/time.h"
#include "server/container/exit_watcher.h"
#include "server/container/signals.h"
#include "server/update.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;
namespace sv1 = davit::state::v1;

constexpr std::chrono::minutes kKillTimeout{2};
constexpr int kNeverStartedExitCode = 128 + SIGKILL;

// Not 0: a container that never ran has completed nothing.
absl::Status EndUnstarted(Node& node, Container& container) {
  return Update(node, container, [](auto& next) {
    next.set_state(sv1::CONTAINER_EXITED);
    next.set_exit_code(kNeverStartedExitCode);
    next.set_finished_at(NowNanos());
    next.set_reason("Error");
    next.set_message("the container was stopped before it was started");
  });
}

// Whether the container runs and was sent the signal (or had it before).
absl::StatusOr<bool> Signal(Node& node, Container& container, bool kill) {
  absl::MutexLock lock(&container.op_mutex);
  const auto record = container.record();
  if (record->state() == sv1::CONTAINER_CREATED) {
    RETURN_IF_ERROR(EndUnstarted(node, container));
    return false;
  }
  if (record->state() != sv1::CONTAINER_RUNNING) {
    return false;
  }
  if (kill) {
    RETURN_IF_ERROR(SignalContainer(*record, SIGKILL));
  } else if (node.exits.ClaimStopSignal(container.id())) {
    RETURN_IF_ERROR(SignalContainer(*record, SignalNumber(record->stop_signal())));
  }
  return true;
}

// In a PID namespace that the container shares its other processes do not end with the first.
bool SharesPidNamespace(const Container::Record& record) {
  return record.config().linux().security_context().namespace_options().pid() != v1::CONTAINER;
}

}  // namespace

absl::Status KillNow(Node& node, Container& container) {
  ASSIGN_OR_RETURN(const bool running, Signal(node, container, /*kill=*/true));
  if (running && SharesPidNamespace(*container.record())) {
    return node.cgroup_manager.KillAll(container.record()->cgroup());
  }
  return absl::OkStatus();
}

absl::Status AwaitKilled(Node& node, Context& ctx, Container& container) {
  Context limited(ctx, kKillTimeout);
  limited.SetStage("wait for the end of container " + ShortId(container.id()) + " after SIGKILL");
  const absl::Status ended = node.exits.AwaitExit(limited, container.id());
  if (absl::IsDeadlineExceeded(ended)) {
    return DeadlineExceeded(
        "container {}: process {} has not ended after SIGKILL; it may hang in the kernel (state D)",
        ShortId(container.id()), container.record()->pid());
  }
  return ended;
}

absl::Status StopGracefully(Node& node, Context& ctx, Container& container,
                            std::chrono::seconds grace) {
  if (grace.count() > 0) {
    ASSIGN_OR_RETURN(const bool running, Signal(node, container, /*kill=*/false));
    if (!running) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(failpoint::Hit("stop_container.after_signal"));
    Context limited(ctx, grace);
    limited.SetStage("wait for container " + ShortId(container.id()) + " to end by itself");
    const absl::Status ended = node.exits.AwaitExit(limited, container.id());
    if (ended.ok()) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(ctx.Check());
  }
  RETURN_IF_ERROR(KillNow(node, container));
  return AwaitKilled(node, ctx, container);
}

}  // namespace davit::server
