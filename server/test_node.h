// SPDX-License-Identifier: Apache-2.0
//
// For tests: a whole Node over a temporary directory, with the real database, storage, OCI runtime,
// monitor and kernel, and a network that is a directory of files. A machine can be started again
// over what an earlier one left, as the daemon is.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

// Why tests with real containers cannot run here; "" if they can.
std::string WhyNoMachine();

class TestMachine {
 public:
  // Makes a temporary directory with an image "busybox:test", or takes over that of another
  // process.
  explicit TestMachine(const std::string& dir = "");
  // Removes everything, unless it was taken over.
  ~TestMachine();
  TestMachine(const TestMachine&) = delete;
  TestMachine& operator=(const TestMachine&) = delete;

  // A new daemon over the directory: recovery has run when it returns.
  void Start();
  // Ends the daemon; containers run on.
  void End();

  Node& node();
  [[nodiscard]] const std::string& dir() const { return dir_; }

  // While it exists, the network's ADD or DEL fails.
  void BreakNetwork(const std::string& verb) const;
  void RepairNetwork(const std::string& verb) const;

  // What is left on the machine: mounts, namespaces, cgroups, rows, directories, networks.
  std::vector<std::string> Leftovers();

  // Calls that must succeed: the ID.
  std::string RunPod(const runtime::v1::PodSandboxConfig& config);
  std::string Create(const std::string& pod, const runtime::v1::ContainerConfig& config);
  std::string CreateShell(const std::string& pod, const std::string& name,
                          const std::string& script);
  void StartContainer(const std::string& id);
  std::string StartShell(const std::string& pod, const std::string& name,
                         const std::string& script);
  void RemovePod(const std::string& id);

  std::shared_ptr<const Container::Record> Record(const std::string& container);
  std::shared_ptr<const Sandbox::Record> PodRecord(const std::string& pod);

 private:
  struct Daemon;

  void MakeImage();

  bool owner_;
  std::string dir_;
  config::Config config_;
  std::unique_ptr<Daemon> daemon_;
};

runtime::v1::PodSandboxConfig PodConfig(const std::string& name);
runtime::v1::ContainerConfig ShellConfig(const std::string& name, const std::string& script);

// Polls until the condition holds or twenty seconds have passed.
bool Eventually(const std::function<bool()>& condition);

}  // namespace davit::server
