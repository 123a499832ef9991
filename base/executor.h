// SPDX-License-Identifier: Apache-2.0
//
// Threads for long work. Threads start on demand up to a limit and end after a while without work,
// so that an idle daemon holds none. Work beyond the limit queues.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace davit {

class Executor {
 public:
  explicit Executor(size_t max_threads);
  // Finishes what is queued and running, then joins.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void Run(std::function<void()> work);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace davit
