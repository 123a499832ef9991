// SPDX-License-Identifier: Apache-2.0
#include "test/bench/rounds.h"

#include <chrono>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/status.h"

namespace davit::bench {
namespace {

using Clock = std::chrono::steady_clock;

absl::Status Round(NodeClient& client, int execs, const std::string& name, Samples& samples) {
  ASSIGN_OR_RETURN(const PodAndContainer made, client.Run(name, samples));
  absl::Status status;
  for (int i = 0; i < execs && status.ok(); ++i) {
    status = client.ExecTrue(made, samples);
  }
  const absl::Status removed = client.Remove(made, samples);
  return status.ok() ? removed : status;
}

}  // namespace

absl::StatusOr<Samples> SideBySide(int clients,
                                   const std::function<absl::Status(int, Samples&)>& work) {
  std::vector<Samples> samples(clients);
  std::vector<absl::Status> results(clients);
  std::vector<std::thread> threads;
  for (int i = 0; i < clients; ++i) {
    threads.emplace_back([&, i] { results[i] = work(i, samples[i]); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  Samples all;
  for (int i = 0; i < clients; ++i) {
    RETURN_IF_ERROR(results[i]);
    all.Merge(samples[i]);
  }
  return all;
}

absl::StatusOr<RoundResult> RunRounds(NodeClient& client, const RoundOptions& options,
                                      const std::string& prefix) {
  Samples ignored;
  for (int i = 0; i < options.warm_up; ++i) {
    RETURN_IF_ERROR(Round(client, options.execs, fmt::format("{}-warm-up-{}", prefix, i), ignored));
  }
  const auto work = [&](int worker, Samples& own) {
    for (int i = 0; i < options.rounds; ++i) {
      RETURN_IF_ERROR(
          Round(client, options.execs, fmt::format("{}-{}-{}", prefix, worker, i), own));
    }
    return absl::OkStatus();
  };
  const auto begin = Clock::now();
  ASSIGN_OR_RETURN(Samples samples, SideBySide(options.parallel, work));
  return RoundResult{.samples = std::move(samples),
                     .seconds = std::chrono::duration<double>(Clock::now() - begin).count()};
}

}  // namespace davit::bench
