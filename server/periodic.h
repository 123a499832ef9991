// SPDX-License-Identifier: Apache-2.0
//
// A piece of work that is done again and again as long as the object lives: on the executor, one
// run at a time, the next one an interval after the end of the last. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/context.h"
#include "base/event_loop.h"
#include "base/executor.h"

namespace davit::server {

class Periodic {
 public:
  struct Work {
    // Asked on the event loop's thread before each run, so it must not wait: false passes one over
    // without waking a thread.
    std::function<bool()> due;
    // Its context is cancelled when the object goes.
    std::function<void(Context&)> run;
  };

  // The first run is due at once.
  Periodic(EventLoop& loop, Executor& executor, std::chrono::milliseconds interval, Work work);
  // No run begins any more; waits for one that goes on.
  ~Periodic();
  Periodic(const Periodic&) = delete;
  Periodic& operator=(const Periodic&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace davit::server
