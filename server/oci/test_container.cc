// SPDX-License-Identifier: Apache-2.0
#include "server/oci/test_container.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "base/cgroup.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/poll.h"
#include "base/status.h"
#include "base/subprocess.h"

namespace davit::server::oci {
namespace {

constexpr char kBusybox[] = "/bin/busybox";

nlohmann::json Namespaces(const TestProcess& process) {
  nlohmann::json pid = {{"type", "pid"}};
  if (!process.pid_namespace.empty()) {
    pid["path"] = process.pid_namespace;
  }
  return nlohmann::json::array(
      {pid, {{"type", "ipc"}}, {{"type", "uts"}}, {{"type", "mount"}}, {{"type", "network"}}});
}

nlohmann::json Mounts() {
  return nlohmann::json::array(
      {{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}},
       {{"destination", "/dev"},
        {"type", "tmpfs"},
        {"source", "tmpfs"},
        {"options", {"nosuid", "mode=755", "size=65536k"}}},
       {{"destination", "/dev/pts"},
        {"type", "devpts"},
        {"source", "devpts"},
        {"options", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}}}});
}

nlohmann::json ProcessJson(const std::vector<std::string>& args, bool tty) {
  return {{"terminal", tty},
          {"user", {{"uid", 0}, {"gid", 0}}},
          {"args", args},
          {"env", {"PATH=/bin"}},
          {"cwd", "/"}};
}

}  // namespace

std::string WhyNoContainers(const std::string& runtime) {
  if (geteuid() != 0) {
    return "containers need root";
  }
  if (!PathExists(kBusybox)) {
    return "busybox-static is not installed";
  }
  const auto cgroups = CgroupFs::Detect();
  if (!cgroups.ok()) {
    return Message(cgroups.status());
  }
  const auto table = RuntimeTable::Create(config::Config{}, *cgroups);
  if (!table.ok()) {
    return Message(table.status());
  }
  const auto found = table->Find(runtime);
  return found.ok() ? "" : Message(found.status());
}

TestContainer::TestContainer(const std::string& runtime) : id_(NewId()) {
  char pattern[] = "/tmp/oci_test.XXXXXX";
  dir_ = mkdtemp(pattern);
  options_.monitor_path = DAVIT_CONMON_PATH;
  options_.container_id = id_;
  // Longer than a socket address holds.
  options_.run_dir = dir_ + "/run/" + std::string(100, 'd') + "/" + id_;
  options_.bundle = dir_ + "/bundle";
  options_.runtime_path = *FindProgram(runtime);
  options_.runtime_root = dir_ + "/root";
  options_.log_path = dir_ + "/log";
  runtime_ = std::make_unique<Runtime>(runtime, options_.runtime_path, options_.runtime_root);
  const auto cgroups = CgroupFs::Detect();
  options_.cgroup_mode = CgroupModeName(cgroups->mode());
  options_.memory_cgroup_dir = cgroups->Dir("memory", CgroupPath());
  for (const char* name : {"bin", "proc", "dev", "tmp"}) {
    EXPECT_TRUE(MakeDirs(rootfs() + "/" + name, 0755).ok());
  }
  EXPECT_TRUE(MakeDirs(options_.run_dir).ok());
  std::filesystem::copy(kBusybox, rootfs() + "/bin/busybox");
  for (const char* name :
       {"sh", "true", "echo", "sleep", "cat", "ls", "tail", "head", "seq", "dd", "printf",
        "readlink", "tty", "stty", "tr", "usleep", "ps", "kill", "grep"}) {
    std::filesystem::create_symlink("busybox", rootfs() + "/bin/" + name);
  }
}

TestContainer::~TestContainer() {
  Context ctx(std::chrono::seconds(20));
  EXPECT_EQ(runtime_->Delete(ctx, id_), absl::OkStatus());
  EXPECT_TRUE(Eventually([&] { return absl::IsNotFound(FindMonitor(options_.run_dir).status()); }));
  const auto cgroups = CgroupFs::Detect();
  EXPECT_EQ(cgroups->Remove(CgroupPath()), absl::OkStatus());
  EXPECT_EQ(RemoveTree(dir_), absl::OkStatus());
}

void TestContainer::WriteSpec(const TestProcess& process) const {
  nlohmann::json spec = {
      {"ociVersion", "1.0.2"},
      {"process", ProcessJson(process.args, process.tty)},
      {"root", {{"path", "rootfs"}}},
      {"hostname", "test"},
      {"mounts", Mounts()},
      {"linux", {{"cgroupsPath", CgroupPath()}, {"namespaces", Namespaces(process)}}}};
  if (process.memory_limit > 0) {
    spec["linux"]["resources"]["memory"]["limit"] = process.memory_limit;
  }
  EXPECT_EQ(WriteFileAtomic(options_.bundle + "/config.json", spec.dump()), absl::OkStatus());
}

absl::StatusOr<MonitorHandle> TestContainer::Start(Context& ctx, const TestProcess& process) {
  WriteSpec(process);
  options_.tty = process.tty;
  return StartMonitor(ctx, options_);
}

absl::StatusOr<MonitorHandle> TestContainer::StartShell(Context& ctx, const std::string& script) {
  return Start(ctx, {.args = {"sh", "-c", script}, .pid_namespace = {}});
}

absl::StatusOr<ExitInfo> TestContainer::AwaitExit(Context& ctx, const MonitorHandle& handle) const {
  while (true) {
    std::array<pollfd, 1> fds = {
        {{.fd = handle.monitor_pidfd.get(), .events = POLLIN, .revents = 0}}};
    RETURN_IF_ERROR(PollWith(ctx, fds));
    if (fds[0].revents != 0) {
      break;
    }
    RETURN_IF_ERROR(ctx.Check());
  }
  ReapMonitor(handle.monitor_pidfd.get());
  EXPECT_NE(kill(handle.monitor_pid, 0), 0) << "the monitor stays as a zombie";
  ASSIGN_OR_RETURN(const std::optional<ExitInfo> exit, ReadExit(options_.run_dir));
  if (!exit) {
    return NotFound("the monitor left no exit file");
  }
  return *exit;
}

absl::StatusOr<ExecResult> TestContainer::Exec(Context& ctx, const std::vector<std::string>& args,
                                               size_t max_output, std::optional<int> cpu) const {
  const std::string scratch = options_.run_dir + "/exec";
  auto result = runtime_->Exec(
      ctx, id_, scratch,
      {.process_json = ProcessJson(args, false).dump(), .max_output = max_output, .cpu = cpu});
  EXPECT_TRUE(ListDir(scratch)->empty()) << "files of an exec stay";
  return result;
}

void TestContainer::LetRuntimeRunAnywhere(const CpuSet& all) {
  const std::string script = dir_ + "/anywhere";
  EXPECT_TRUE(WriteFileAtomic(script,
                              "#!/bin/sh\nexec /usr/bin/taskset -c " + CpuListText(all) + " " +
                                  runtime_->path() + " \"$@\"\n",
                              0755)
                  .ok());
  runtime_ = std::make_unique<Runtime>(runtime_->name(), script, runtime_->root());
}

std::string TestContainer::Log() const {
  const auto text = ReadFile(options_.log_path, 1U << 30U);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

std::string TestContainer::Replay(const std::string& log, const std::string& stream) {
  std::string bytes;
  size_t position = 0;
  constexpr size_t kTimeSize = 31;  // with the space
  while (position < log.size()) {
    const size_t end = log.find('\n', position);
    EXPECT_NE(end, std::string::npos) << "an entry without an end";
    const size_t content = position + kTimeSize + 6 + 1 + 2;  // stream, tag
    EXPECT_GE(end, content) << log.substr(position, end - position);
    if (end == std::string::npos || end < content) {
      break;
    }
    if (log.compare(position + kTimeSize, 6, stream) == 0) {
      bytes.append(log, content, end - content);
      bytes += log[content - 2] == 'F' ? "\n" : "";
    }
    position = end + 1;
  }
  return bytes;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace davit::server::oci
