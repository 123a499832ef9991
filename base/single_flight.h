// SPDX-License-Identifier: Apache-2.0
//
// One running operation for each key: a second caller with the same key joins the first and gets
// its result. The work runs on the executor under its own context, so that a caller who gives up
// (cancelled, past its deadline) does not stop it, and a retry finds it still running. The result
// is not kept after the work ends. T must be copyable.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/context.h"
#include "base/executor.h"

namespace davit {

template <typename T>
class SingleFlight {
 public:
  explicit SingleFlight(Executor& executor) : executor_(executor) {}

  // Starts `work(op_ctx)` with `work_timeout`, unless work with this key runs; waits for its result
  // or the end of `caller`. The error of a caller that gave up names the stage the work is in.
  absl::StatusOr<T> Do(Context& caller, const std::string& key,
                       Context::Clock::duration work_timeout,
                       std::function<absl::StatusOr<T>(Context&)> work) {
    std::shared_ptr<Flight> flight;
    {
      absl::MutexLock lock(&mutex_);
      auto& slot = flights_[key];
      if (!slot) {
        slot = std::make_shared<Flight>(work_timeout);
        Launch(key, slot, std::move(work));
      }
      flight = slot;
    }
    return Await(caller, *flight);
  }

 private:
  struct Flight {
    explicit Flight(Context::Clock::duration timeout) : ctx(timeout) {}
    Context ctx;
    absl::Mutex mutex;
    std::optional<absl::StatusOr<T>> result ABSL_GUARDED_BY(mutex);
  };

  void Launch(const std::string& key, const std::shared_ptr<Flight>& flight,
              std::function<absl::StatusOr<T>(Context&)> work) {
    executor_.Run([this, key, flight, work = std::move(work)] {
      absl::StatusOr<T> result = work(flight->ctx);
      {
        absl::MutexLock lock(&mutex_);
        flights_.erase(key);
      }
      absl::MutexLock lock(&flight->mutex);
      flight->result = std::move(result);
    });
  }

  // Cancellation of a caller is seen within 50 ms: the wait itself is for the result.
  static absl::StatusOr<T> Await(Context& caller, Flight& flight) {
    auto done = [&flight]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return flight.result.has_value(); };
    while (true) {
      {
        absl::MutexLock lock(&flight.mutex);
        if (flight.mutex.AwaitWithTimeout(absl::Condition(&done), absl::Milliseconds(50))) {
          return *flight.result;
        }
      }
      if (absl::Status status = caller.Check(); !status.ok()) {
        return absl::Status(status.code(), std::string(status.message()) + " (still running: " +
                                               flight.ctx.stage() + "; a retry joins it)");
      }
    }
  }

  Executor& executor_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Flight>> flights_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit
