// SPDX-License-Identifier: Apache-2.0
//
// What keeps the pods' networks in order while nobody asks for anything: host ports that somebody
// flushed are restored; networks of pods that no record knows are detached, plugins told which pods
// there are (CNI GC) and asked whether the networks of those are what they were (CNI CHECK, whose
// complaints are logged). Lives between recovery and the end of the daemon. Thread-safe.
#pragma once

#include <chrono>
#include <string>

#include "server/node.h"
#include "server/periodic.h"

namespace davit::server {

class NetworkUpkeep {
 public:
  explicit NetworkUpkeep(Node& node);
  // What goes on is cancelled and waited for.
  ~NetworkUpkeep() = default;
  NetworkUpkeep(const NetworkUpkeep&) = delete;
  NetworkUpkeep& operator=(const NetworkUpkeep&) = delete;

 private:
  void CollectGarbage(Context& ctx);
  void DetachUnknown(Context& ctx);
  void CheckPods(Context& ctx);

  Node& node_;
  // Of CollectGarbage alone, which runs one at a time.
  std::string collected_for_;
  std::chrono::steady_clock::time_point collected_at_;
  Periodic garbage_;
  Periodic host_ports_;
};

}  // namespace davit::server
