// SPDX-License-Identifier: Apache-2.0
//
// What every e2e test has: a daemon of its own, short names for what the kubelet does, and the leak
// check at its end. Helpers throw on an error that the test does not expect; tests of errors use
// client().
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "test/e2e/client.h"
#include "test/e2e/daemon.h"
#include "test/e2e/leak_check.h"
#include "test/e2e/registry.h"
#include "test/e2e/wait.h"

namespace davit::e2e {

struct Pod {
  std::string id;
  v1::PodSandboxConfig config;
};

// One line of a CRI log.
struct LogLine {
  std::string time;
  std::string stream;
  bool full = false;
  std::string text;
};

class E2eTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Of the daemon that SetUp starts.
  virtual TestDaemon::Options DaemonOptions() { return {.drop_in = {}, .failpoints = {}}; }
  // For tests that start it themselves.
  virtual bool StartsDaemon() { return true; }

  TestDaemon& daemon() { return *daemon_; }
  Client& client() { return daemon_->client(); }
  static TestRegistry& registry() { return TestRegistry::Shared(); }

  // What is there now is no leak.
  void TakeBaseline() { leak_check_ = std::make_unique<LeakCheck>(*daemon_); }
  // Starts the daemon and remembers its descriptors.
  void StartDaemon(const TestDaemon::Options& options);
  // kill -9, and a new one.
  void RestartDaemon(const TestDaemon::Options& options = {.drop_in = {}, .failpoints = {}});
  // Again, after something that is made once and stays.
  void RememberDescriptors();

  // A pod as the kubelet asks for one: own network, each container its own PID namespace.
  v1::PodSandboxConfig PodConfig(const std::string& name);
  Pod RunPod(const v1::PodSandboxConfig& config);
  Pod RunPod(const std::string& name) { return RunPod(PodConfig(name)); }
  v1::PodSandboxStatus PodStatus(const std::string& id);
  void StopPod(const std::string& id);
  void RemovePod(const std::string& id);
  std::vector<v1::PodSandbox> Pods(const v1::PodSandboxFilter& filter = {});

  // Pulls the fixture image from the registry of the program; its name.
  std::string Pull(const std::string& fixture);

  // The command in busybox (or another image), logging to <name>.log.
  v1::ContainerConfig Container(const std::string& name, const std::vector<std::string>& command,
                                const std::string& image = "busybox");
  v1::ContainerConfig ShellContainer(const std::string& name, const std::string& script);
  static v1::CreateContainerRequest CreateRequest(const Pod& pod,
                                                  const v1::ContainerConfig& config);
  std::string Create(const Pod& pod, const v1::ContainerConfig& config);
  absl::Status StartContainer(const std::string& id);
  // Creates and starts.
  std::string Run(const Pod& pod, const v1::ContainerConfig& config);
  v1::ContainerStatus Status(const std::string& id);
  absl::Status StopContainer(const std::string& id, int64_t grace_seconds);
  void RemoveContainer(const std::string& id);
  std::vector<v1::Container> Containers(const v1::ContainerFilter& filter = {});
  v1::ContainerStatus AwaitExit(const std::string& id);

  // The node's /dev/null does not belong to the user (if it does, it is given back to root).
  static void ExpectNullIsNotOf(uint32_t user);

  v1::ExecSyncResponse Exec(const std::string& id, const std::vector<std::string>& command);
  std::string ShellIn(const std::string& id, const std::string& script);

  std::string LogPath(const Pod& pod, const std::string& name);
  // Fails the test on a line that is not CRI format.
  std::vector<LogLine> Log(const std::string& path);
  // Lines of stdout joined, each with its end of line.
  std::string LogText(const std::string& path);
  // Waits until the log holds the text.
  void AwaitLog(const std::string& path, const std::string& text);

  void RemoveEverything();
  // What the pods of the test hold, when it holds none. "" if the test may end.
  std::string Leaks() { return leak_check_->Leaks(); }

 private:
  std::unique_ptr<TestDaemon> daemon_;
  std::unique_ptr<LeakCheck> leak_check_;
  std::map<std::string, int> descriptors_;
};

// Expects an error of this code whose message holds the text.
void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& text);

}  // namespace davit::e2e
