// SPDX-License-Identifier: Apache-2.0
//
// A server in a pod's network, on port 8080 of its loopback address: reads all that a client has to
// say, up to the end, and then says it back. In the test's process; ends with its object.
#pragma once

#include <string>
#include <thread>

#include "base/fd.h"
#include "test/e2e/client.h"

namespace davit::e2e {

class PodEcho {
 public:
  static constexpr int kPort = 8080;

  // `container`: any running one of the pod. `family`: AF_INET or AF_INET6, and that alone.
  PodEcho(Client& client, const std::string& container, int family);
  ~PodEcho();
  PodEcho(const PodEcho&) = delete;
  PodEcho& operator=(const PodEcho&) = delete;

 private:
  UniqueFd listener_;
  std::thread thread_;
};

}  // namespace davit::e2e
