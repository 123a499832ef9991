// SPDX-License-Identifier: Apache-2.0
//
// An OCI runtime (crun, runc, …) as a command line program. Creating and starting a container is
// the monitor's call (server/oci/monitor.h); the rest is here. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/cgroup.h"
#include "base/context.h"
#include "base/fd.h"
#include "config/config.h"

namespace davit {
struct RunResult;     // base/subprocess.h
struct SpawnOptions;  // base/subprocess.h
}  // namespace davit

namespace davit::server::oci {

class RuntimeMounts;  // server/oci/runtime_mounts.h
class SealedProgram;  // server/oci/sealed_program.h

struct RuntimeFeatures {
  bool recursive_read_only_mounts = false;
  bool user_namespaces = false;  // runs containers in one; davit itself makes ID-mapped mounts
};

struct ExecOptions {
  std::string process_json;        // an OCI process object
  size_t max_output = 16U << 20U;  // each stream; the rest is read and dropped
  // Where the process is to run, whatever the OCI runtime and the kernel make of it: the runtime
  // starts there, and the process is put there as soon as it has a pid file.
  std::optional<int> cpu = {};
};

struct ExecResult {
  int exit_code = 0;  // 128 + N for a signal
  std::string out;
  std::string err;
};

// How the runtime's program is to be executed.
struct RuntimeLaunch {
  std::shared_ptr<const UniqueFd> program;  // to be executed in place of the path; may be null
  int mount_namespace = -1;                 // to run in, if that matters; lives as the Runtime
};

// For a monitor, which executes it: as descriptors of these numbers and the next.
void PassRuntime(const RuntimeLaunch& launch, int first_fd, SpawnOptions& spawn);

class Runtime {
 public:
  Runtime(std::string name, std::string path, std::string root)
      : name_(std::move(name)), path_(std::move(path)), root_(std::move(root)) {}

  [[nodiscard]] const std::string& name() const { return name_; }  // handler name
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& root() const { return root_; }        // its --root
  [[nodiscard]] const std::string& program() const { return program_; }  // as it names itself
  [[nodiscard]] const std::string& version() const { return version_; }
  [[nodiscard]] const RuntimeFeatures& features() const { return features_; }

  // Calls about containers that run are made in its lean namespace from now on.
  void UseMounts(std::shared_ptr<const RuntimeMounts> mounts) { mounts_ = std::move(mounts); }
  [[nodiscard]] const RuntimeMounts* mounts() const { return mounts_.get(); }  // may be null
  // For calls about a container that runs.
  [[nodiscard]] RuntimeLaunch Launch() const;

  // Runs `--version` and `features` (if it has it): fills version and features. FailedPrecondition
  // names the program and what it said.
  absl::Status Probe(Context& ctx);

  // `delete --force`: kills what is left, removes its cgroup and state. Unknown container is
  // success.
  absl::Status Delete(Context& ctx, const std::string& id) const;
  // `update --resources -` with an OCI linux.resources object.
  absl::Status Update(Context& ctx, const std::string& id, const std::string& resources_json) const;
  // Runs a process in the container and collects its output. When `ctx` ends first everything that
  // the exec started is killed and DeadlineExceeded (or Cancelled) returned. A command that does
  // not exist is an ExecResult with code 126/127 only if the runtime itself says so, else an error.
  absl::StatusOr<ExecResult> Exec(Context& ctx, const std::string& id,
                                  const std::string& scratch_dir, const ExecOptions& options) const;

 private:
  [[nodiscard]] absl::StatusOr<RunResult> Call(Context& ctx, std::vector<std::string> args,
                                               std::string_view input) const;

  std::string name_;
  std::string path_;
  std::string root_;
  std::string program_;
  std::string version_;
  RuntimeFeatures features_;
  std::shared_ptr<const SealedProgram> sealed_;  // of those that gain by it
  std::shared_ptr<const RuntimeMounts> mounts_;
};

// The handlers of this node, found out at start: "crun" where it can run on this host (crun before
// 1.9 refuses a hybrid host whose v2 hierarchy holds controllers), "runc", and those of the
// configuration. The default is config.default_handler, else crun, else runc.
class RuntimeTable {
 public:
  static absl::StatusOr<RuntimeTable> Create(const config::Config& config, const CgroupFs& cgroups);

  // "" is the default. NotFound names the handler, the known ones, and why one that is configured
  // was dropped.
  absl::StatusOr<std::shared_ptr<const Runtime>> Find(const std::string& handler) const;
  [[nodiscard]] std::vector<std::shared_ptr<const Runtime>> List() const;
  [[nodiscard]] const std::string& default_name() const { return default_; }
  // Why each handler that cannot run here cannot: for Status.
  [[nodiscard]] const std::map<std::string, std::string>& dropped() const { return dropped_; }

 private:
  std::map<std::string, std::shared_ptr<const Runtime>> runtimes_;
  std::map<std::string, std::string> dropped_;
  std::string default_;
};

}  // namespace davit::server::oci
