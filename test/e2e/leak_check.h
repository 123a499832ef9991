// SPDX-License-Identifier: Apache-2.0
//
// What pods hold outside the daemon's memory, before and after a test: mounts and pinned
// namespaces, cgroups, links, processes, files, address leases; and the descriptors of the daemon.
// The test program has namespaces of its own, so all that is there was made by its tests.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "test/e2e/daemon.h"

namespace davit::e2e {

class LeakCheck {
 public:
  // Remembers what is there now.
  explicit LeakCheck(const TestDaemon& daemon);

  // What is there now and was not; "" if nothing within the deadline (the daemon releases what a
  // container held after it has said that the container ended).
  [[nodiscard]] std::string Leaks() const;

  // Descriptors of the running daemon by target; the numbers of sockets and pipes are left out.
  [[nodiscard]] static std::map<std::string, int> Descriptors(pid_t pid);
  // Waits until the daemon has no more than `before`; what it has more.
  [[nodiscard]] static std::string DescriptorLeaks(pid_t pid,
                                                   const std::map<std::string, int>& before);

 private:
  [[nodiscard]] std::set<std::string> Look() const;

  const TestDaemon& daemon_;
  std::set<std::string> before_;
};

}  // namespace davit::e2e
