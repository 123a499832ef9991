// SPDX-License-Identifier: Apache-2.0
#include "test/bench/poll.h"

#include <atomic>
#include <thread>

#include "base/status.h"
#include "test/bench/rounds.h"

namespace davit::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono_literals::operator""s;

constexpr Clock::duration kRelist = 1s;
constexpr int kRelistsForStats = 10;
constexpr Clock::duration kProbe = 10s;
constexpr int kProbers = 16;

struct Schedule {
  Clock::time_point begin;
  Clock::time_point end;
};

absl::Status Relist(NodeClient& client, const Schedule& schedule, Samples& samples) {
  for (int i = 0; schedule.begin + i * kRelist < schedule.end; ++i) {
    std::this_thread::sleep_until(schedule.begin + i * kRelist);
    RETURN_IF_ERROR(client.ListPods(samples));
    RETURN_IF_ERROR(client.ListContainers(samples).status());
    if (i % kRelistsForStats == 0) {
      RETURN_IF_ERROR(client.ListContainerStats(samples));
      RETURN_IF_ERROR(client.ImageFsInfo(samples));
    }
  }
  return absl::OkStatus();
}

// Probes of every pod with the number of this prober modulo their count.
absl::Status Probe(NodeClient& client, const std::vector<PodAndContainer>& pods, size_t prober,
                   const Schedule& schedule, std::atomic<int>& done, Samples& samples) {
  for (auto turn = schedule.begin; turn < schedule.end; turn += kProbe) {
    for (size_t i = prober; i < pods.size(); i += kProbers) {
      const auto due = turn + kProbe * i / pods.size();
      if (due >= schedule.end || Clock::now() >= schedule.end) {
        return absl::OkStatus();
      }
      std::this_thread::sleep_until(due);
      RETURN_IF_ERROR(client.ExecTrue(pods[i], samples));
      ++done;
    }
  }
  return absl::OkStatus();
}

int Due(size_t pods, Clock::duration time) {
  int due = 0;
  for (Clock::duration turn{0}; turn < time; turn += kProbe) {
    for (size_t i = 0; i < pods; ++i) {
      due += turn + kProbe * i / pods < time ? 1 : 0;
    }
  }
  return due;
}

}  // namespace

absl::StatusOr<PollResult> PollAsKubelet(NodeClient& client,
                                         const std::vector<PodAndContainer>& pods,
                                         std::chrono::seconds time) {
  const auto begin = Clock::now();
  const Schedule schedule{.begin = begin, .end = begin + time};
  std::atomic<int> done = 0;
  const auto work = [&](int i, Samples& own) {
    return i == kProbers ? Relist(client, schedule, own)
                         : Probe(client, pods, static_cast<size_t>(i), schedule, done, own);
  };
  ASSIGN_OR_RETURN(Samples samples, SideBySide(kProbers + 1, work));
  std::this_thread::sleep_until(schedule.end);
  return PollResult{.seconds = std::chrono::duration<double>(Clock::now() - begin).count(),
                    .probes = done,
                    .due = Due(pods.size(), time),
                    .samples = std::move(samples)};
}

}  // namespace davit::bench
