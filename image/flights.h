// SPDX-License-Identifier: Apache-2.0
//
// Work that several callers want: one run for each key. Unlike base/single_flight.h a caller holds
// a ticket, may hold several and wait for any of them, sees the work's progress, and when the last
// ticket is given back the work is cancelled. Results are not kept. Thread-safe; tickets must not
// outlive the Flights.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/context.h"
#include "base/executor.h"

namespace davit::image {

// `Result` is copyable; `Progress` is default-constructible and thread-safe by itself.
template <typename Result, typename Progress>
class Flights {
  struct Flight {
    Context ctx;
    Progress progress;
    int tickets = 0;  // under the mutex of Flights, as is `result`
    std::optional<absl::StatusOr<Result>> result;
  };

 public:
  using Work = std::function<absl::StatusOr<Result>(Context&, Progress&)>;

  class Ticket {
   public:
    Ticket(Flights& flights, std::string key, std::shared_ptr<Flight> flight, bool led)
        : flights_(&flights), key_(std::move(key)), flight_(std::move(flight)), led_(led) {}
    Ticket(Ticket&& other) noexcept = default;
    Ticket& operator=(Ticket&&) = delete;
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() {
      if (flight_) {
        flights_->Leave(key_, flight_);
      }
    }

    // Whether this caller started the work (else it joined).
    [[nodiscard]] bool led() const { return led_; }
    [[nodiscard]] Progress& progress() const { return flight_->progress; }
    [[nodiscard]] std::string stage() const { return flight_->ctx.stage(); }
    // Nothing while the work runs.
    [[nodiscard]] std::optional<absl::StatusOr<Result>> result() const {
      absl::MutexLock lock(&flights_->mutex_);
      return flight_->result;
    }

   private:
    Flights* flights_;
    std::string key_;
    std::shared_ptr<Flight> flight_;
    bool led_;
  };

  explicit Flights(Executor& executor) : executor_(executor) {}
  // Cancels what runs and waits for its end.
  ~Flights() {
    absl::MutexLock lock(&mutex_);
    for (auto& [key, flight] : flights_) {
      flight->ctx.Cancel();
    }
    while (running_ > 0) {
      changed_.Wait(&mutex_);
    }
  }
  Flights(const Flights&) = delete;
  Flights& operator=(const Flights&) = delete;

  // Starts `work`, unless work with this key runs.
  [[nodiscard]] Ticket Join(const std::string& key, Work work) {
    std::shared_ptr<Flight> flight;
    {
      absl::MutexLock lock(&mutex_);
      auto& slot = flights_[key];
      if (slot) {
        ++slot->tickets;
        return Ticket(*this, key, slot, false);
      }
      slot = std::make_shared<Flight>();
      slot->tickets = 1;
      flight = slot;
      ++running_;
    }
    executor_.Run([this, key, flight, work = std::move(work)]() mutable {
      Fly(key, flight, std::move(work));
    });
    return Ticket(*this, key, flight, true);
  }

  struct View {
    std::string key;
    std::string stage;
    int tickets = 0;
    std::shared_ptr<const Progress> progress;
  };
  // What runs now.
  [[nodiscard]] std::vector<View> Running() const {
    std::vector<View> views;
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, flight] : flights_) {
      views.push_back({.key = key,
                       .stage = flight->ctx.stage(),
                       .tickets = flight->tickets,
                       .progress = std::shared_ptr<const Progress>(flight, &flight->progress)});
    }
    return views;
  }

  // Counts the works that have ended: read it, look at tickets, then wait for it to move on.
  [[nodiscard]] uint64_t ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }
  // Until more works than `seen` have ended, or the time is up; may wake for nothing.
  void AwaitMore(uint64_t seen, std::chrono::milliseconds longest) {
    absl::MutexLock lock(&mutex_);
    if (ended_ == seen) {
      changed_.WaitWithTimeout(&mutex_, absl::FromChrono(longest));
    }
  }

 private:
  void Fly(const std::string& key, const std::shared_ptr<Flight>& flight, Work work) {
    absl::Status status = flight->ctx.Check();
    std::optional<absl::StatusOr<Result>> result =
        status.ok() ? work(flight->ctx, flight->progress) : absl::StatusOr<Result>(status);
    work = nullptr;  // what it captured goes before anybody learns of the end
    absl::MutexLock lock(&mutex_);
    Forget(key, flight);
    if (flight->tickets > 0) {
      flight->result = std::move(result);
    }
    --running_;
    ++ended_;
    changed_.SignalAll();
  }

  void Leave(const std::string& key, const std::shared_ptr<Flight>& flight) {
    absl::MutexLock lock(&mutex_);
    if (--flight->tickets == 0) {
      flight->ctx.Cancel();
      // A caller that comes now starts anew and does not join what is dying.
      Forget(key, flight);
    }
  }

  void Forget(const std::string& key, const std::shared_ptr<Flight>& flight)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto it = flights_.find(key);
    if (it != flights_.end() && it->second == flight) {
      flights_.erase(it);
    }
  }

  Executor& executor_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  std::map<std::string, std::shared_ptr<Flight>> flights_ ABSL_GUARDED_BY(mutex_);
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace davit::image
