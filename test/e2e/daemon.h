// SPDX-License-Identifier: Apache-2.0
//
// A real daemon with directories, socket, cgroup, bridge and address leases of its own. Dies with
// its object; its directory is removed then. Not thread-safe, save client().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/subprocess.h"
#include "test/e2e/client.h"

namespace davit::e2e {

class TestDaemon {
 public:
  struct Options {
    std::string drop_in;     // YAML over the configuration of the harness
    std::string failpoints;  // DAVIT_FAILPOINTS
  };

  TestDaemon();  // makes the directories, starts nothing
  ~TestDaemon();
  TestDaemon(const TestDaemon&) = delete;
  TestDaemon& operator=(const TestDaemon&) = delete;

  // Returns when the socket answers; throws what the daemon logged if it ends instead.
  void Start(const Options& options);
  void Start() { Start({.drop_in = {}, .failpoints = {}}); }
  // Runs it where it is expected to end by itself: its exit code and what it printed.
  RunResult RunToEnd(const Options& options);
  // kill -9, and its end waited for.
  void Kill();
  // SIGTERM; its exit code.
  int Stop();
  // Waits until it has ended by itself (a failpoint).
  [[nodiscard]] bool AwaitEnd();
  [[nodiscard]] bool running() const { return process_.pid() > 0; }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  [[nodiscard]] Client& client() { return *client_; }

  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] std::string socket() const { return dir_ + "/davit.sock"; }
  [[nodiscard]] std::string root() const { return dir_ + "/root"; }
  [[nodiscard]] std::string run() const { return dir_ + "/run"; }
  [[nodiscard]] std::string logs() const { return dir_ + "/logs"; }
  [[nodiscard]] std::string net_d() const { return dir_ + "/net.d"; }
  [[nodiscard]] std::string cni_bin() const { return dir_ + "/cni-bin"; }
  [[nodiscard]] std::string cni_cache() const { return dir_ + "/cni-cache"; }
  [[nodiscard]] std::string leases() const { return dir_ + "/leases"; }
  [[nodiscard]] std::string config_file() const { return dir_ + "/davit.yaml"; }
  [[nodiscard]] const std::string& cgroup() const { return cgroup_; }
  // Of a pod that names no parent, and of its containers.
  [[nodiscard]] std::string PodCgroup(const std::string& pod_id) const;
  [[nodiscard]] std::string ContainerCgroup(const std::string& pod_id, const std::string& id) const;
  // Where the processes of that container are: crun keeps them, and their limits, in a cgroup
  // beneath the scope, with systemd and cgroup v2.
  [[nodiscard]] std::string ProcessCgroup(const std::string& pod_id, const std::string& id) const;
  // Below cgroup(): one that a pod may name as its parent.
  [[nodiscard]] std::string ParentCgroup(const std::string& name) const;
  // What it logged, since it was first started.
  [[nodiscard]] std::string Log() const;

  static constexpr char kBridge[] = "e2e0";

 private:
  void WriteConfig(const Options& options) const;
  [[nodiscard]] SpawnOptions Command(const Options& options, int log_fd) const;
  void Await();

  std::string dir_;
  std::string cgroup_;
  Process process_;
  std::unique_ptr<Client> client_;
};

// The program under test.
[[nodiscard]] std::string DavitPath();

}  // namespace davit::e2e
