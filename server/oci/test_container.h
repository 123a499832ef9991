// SPDX-License-Identifier: Apache-2.0
//
// For the tests of this folder: a container of busybox in a temporary directory, run by a real OCI
// runtime. Removes all it made.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/cpus.h"
#include "server/oci/monitor.h"
#include "server/oci/runtime.h"

namespace davit::server::oci {

// Why tests with real containers cannot run here; "" if they can.
std::string WhyNoContainers(const std::string& runtime);

struct TestProcess {
  std::vector<std::string> args;
  bool tty = false;
  int64_t memory_limit = 0;
  std::string pid_namespace;  // a pin to join; "" makes one
};

class TestContainer {
 public:
  // `runtime`: crun or runc.
  explicit TestContainer(const std::string& runtime);
  ~TestContainer();
  TestContainer(const TestContainer&) = delete;
  TestContainer& operator=(const TestContainer&) = delete;

  void WriteSpec(const TestProcess& process) const;
  // WriteSpec and StartMonitor.
  absl::StatusOr<MonitorHandle> Start(Context& ctx, const TestProcess& process);
  // Shell commands.
  absl::StatusOr<MonitorHandle> StartShell(Context& ctx, const std::string& script);

  // Until the monitor has ended; then its exit record.
  absl::StatusOr<ExitInfo> AwaitExit(Context& ctx, const MonitorHandle& handle) const;

  absl::StatusOr<ExecResult> Exec(Context& ctx, const std::vector<std::string>& args,
                                  size_t max_output = 16U << 20U,
                                  std::optional<int> cpu = {}) const;

  [[nodiscard]] std::string Log() const;
  // The contents of all entries of a stream, as the process wrote them.
  [[nodiscard]] static std::string Replay(const std::string& log, const std::string& stream);
  [[nodiscard]] std::string Output(const std::string& stream = "stdout") const {
    return Replay(Log(), stream);
  }

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] const Runtime& runtime() const { return *runtime_; }
  // From now on it takes all these CPUs, as runtimes do that give up what they inherit, and kernels
  // before 6.2. Needs taskset.
  void LetRuntimeRunAnywhere(const CpuSet& all);
  [[nodiscard]] MonitorOptions& options() { return options_; }
  [[nodiscard]] std::string rootfs() const { return options_.bundle + "/rootfs"; }

 private:
  [[nodiscard]] std::string CgroupPath() const { return "/davit-oci-test-" + id_; }

  std::string id_;
  std::string dir_;
  MonitorOptions options_;
  std::unique_ptr<Runtime> runtime_;
};

// Polls until the condition holds or ten seconds have passed.
bool Eventually(const std::function<bool()>& condition);

}  // namespace davit::server::oci
