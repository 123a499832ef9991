// SPDX-License-Identifier: Apache-2.0
#include "test/bench/node.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/status.h"
#include "test/bench/bare_server.h"
#include "test/bench/exec_stream.h"
#include "test/bench/poll.h"
#include "test/bench/rounds.h"

namespace davit::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kClientsThatRemove = 4;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Answer {
  std::vector<std::pair<std::string, double>> numbers;
  Samples samples;
};

class Node {
 public:
  explicit Node(const Target& target) : target_(target), client_(NodeClient::Create(target)) {}

  absl::StatusOr<Answer> Do(const std::string& line);
  absl::Status RemoveAll();

 private:
  absl::StatusOr<Answer> Rounds(int rounds, int clients);
  absl::StatusOr<Answer> Grow(size_t count, int clients);
  absl::StatusOr<Answer> Ask(int rounds, int seconds);
  absl::Status AskAll(NodeClient& client, int rounds, int seconds, Samples& samples);
  absl::StatusOr<Samples> AskBareServer(int rounds, int seconds);
  absl::StatusOr<Answer> Exec(int rounds);
  absl::StatusOr<Answer> Poll(int seconds);
  absl::StatusOr<Answer> Stream(int mib);
  absl::StatusOr<PodAndContainer> First() const;

  const Target target_;
  std::unique_ptr<NodeClient> client_;
  std::vector<PodAndContainer> pods_;
  int batches_ = 0;  // of rounds: each has names of its own
};

absl::StatusOr<PodAndContainer> Node::First() const {
  if (pods_.empty()) {
    return absl::FailedPreconditionError("no pod runs: say `grow 1 1` first");
  }
  return pods_.front();
}

absl::StatusOr<Answer> Node::Rounds(int rounds, int clients) {
  const RoundOptions options{.rounds = rounds, .warm_up = 0, .execs = 0, .parallel = clients};
  ASSIGN_OR_RETURN(RoundResult result,
                   RunRounds(*client_, options, fmt::format("round-{}", ++batches_)));
  return Answer{.numbers = {{"seconds", result.seconds}}, .samples = std::move(result.samples)};
}

absl::StatusOr<Answer> Node::Grow(size_t count, int clients) {
  const auto begin = Clock::now();
  std::atomic<size_t> next = pods_.size();
  std::mutex mutex;
  const auto add = [&](int, Samples& own) {
    for (size_t i = next++; i < count; i = next++) {
      ASSIGN_OR_RETURN(auto made, client_->Run(fmt::format("hold-{}", i), own));
      const std::lock_guard lock(mutex);
      pods_.push_back(std::move(made));
    }
    return absl::OkStatus();
  };
  ASSIGN_OR_RETURN(Samples samples, SideBySide(clients, add));
  return Answer{.numbers = {{"seconds", SecondsSince(begin)}}, .samples = std::move(samples)};
}

// One kind of question after the other, each `rounds` times or for so many seconds.
absl::Status Node::AskAll(NodeClient& client, int rounds, int seconds, Samples& samples) {
  using Question = std::function<absl::Status(const PodAndContainer&)>;
  const std::vector<Question> questions = {
      [&](const auto&) { return client.Version(samples).status(); },
      [&](const auto&) { return client.ListPods(samples); },
      [&](const auto&) { return client.ListContainers(samples).status(); },
      [&](const auto& pod) { return client.StatusOf(pod, samples); },
      [&](const auto&) { return client.ListContainerStats(samples); },
  };
  for (const Question& ask : questions) {
    const auto first = Clock::now();
    for (size_t i = 0; i < static_cast<size_t>(rounds) && SecondsSince(first) < seconds; ++i) {
      RETURN_IF_ERROR(ask(pods_[i % pods_.size()]));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Samples> Node::AskBareServer(int rounds, int seconds) {
  Target bare = target_;
  bare.socket = target_.socket + ".bare";
  ASSIGN_OR_RETURN(const auto server, BareServer::Create(bare.socket, client_->LastAnswers()));
  const auto client = NodeClient::Create(bare);
  Samples samples;
  RETURN_IF_ERROR(AskAll(*client, rounds, seconds, samples));
  return samples;
}

absl::StatusOr<Answer> Node::Ask(int rounds, int seconds) {
  RETURN_IF_ERROR(First().status());
  const auto begin = Clock::now();
  Samples samples;
  RETURN_IF_ERROR(AskAll(*client_, rounds, seconds, samples));
  ASSIGN_OR_RETURN(const Samples bare, AskBareServer(rounds, seconds));
  samples.Merge(bare, "bare ");
  return Answer{.numbers = {{"seconds", SecondsSince(begin)}}, .samples = std::move(samples)};
}

absl::StatusOr<Answer> Node::Exec(int rounds) {
  ASSIGN_OR_RETURN(const PodAndContainer pod, First());
  const auto begin = Clock::now();
  Samples samples;
  for (int i = 0; i < rounds; ++i) {
    RETURN_IF_ERROR(client_->ExecTrue(pod, samples));
  }
  return Answer{.numbers = {{"seconds", SecondsSince(begin)}}, .samples = std::move(samples)};
}

absl::StatusOr<Answer> Node::Poll(int seconds) {
  ASSIGN_OR_RETURN(PollResult result,
                   PollAsKubelet(*client_, pods_, std::chrono::seconds(seconds)));
  return Answer{.numbers = {{"seconds", result.seconds},
                            {"probes", static_cast<double>(result.probes)},
                            {"due", static_cast<double>(result.due)}},
                .samples = std::move(result.samples)};
}

absl::StatusOr<Answer> Node::Stream(int mib) {
  ASSIGN_OR_RETURN(const PodAndContainer pod, First());
  ASSIGN_OR_RETURN(const StreamResult result, StreamFromExec(*client_, pod, mib));
  return Answer{
      .numbers = {{"seconds", result.seconds}, {"bytes", static_cast<double>(result.bytes)}},
      .samples = {}};
}

absl::StatusOr<Answer> Node::Do(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  int first = 0;
  int second = 1;
  words >> verb >> first >> second;
  if (first <= 0) {
    return absl::InvalidArgumentError(fmt::format("'{}': not a command with a number", line));
  }
  second = std::max(second, 1);
  if (verb == "rounds") {
    return Rounds(first, second);
  }
  if (verb == "grow") {
    return Grow(static_cast<size_t>(first), second);
  }
  if (verb == "ask") {
    return Ask(first, second);
  }
  if (verb == "exec") {
    return Exec(first);
  }
  if (verb == "poll") {
    return Poll(first);
  }
  if (verb == "stream") {
    return Stream(first);
  }
  return absl::InvalidArgumentError(fmt::format("'{}': not a command", line));
}

absl::Status Node::RemoveAll() {
  std::atomic<size_t> next = 0;
  const auto remove = [&](int, Samples& own) {
    for (size_t i = next++; i < pods_.size(); i = next++) {
      RETURN_IF_ERROR(client_->Remove(pods_[i], own));
    }
    return absl::OkStatus();
  };
  return SideBySide(kClientsThatRemove, remove).status();
}

void Print(const Answer& answer) {
  std::string text = "{";
  for (const auto& [name, value] : answer.numbers) {
    text += fmt::format("\"{}\": {:.6f}, ", name, value);
  }
  fmt::print("{}\"times\": {}}}\n", text, answer.samples.Json());
  std::fflush(stdout);
}

}  // namespace

absl::Status ServeCommands(const Target& target, std::istream& commands) {
  Node node(target);
  absl::Status status;
  for (std::string line; status.ok() && std::getline(commands, line);) {
    const auto answer = node.Do(line);
    status = Annotate(answer.status(), line);
    if (answer.ok()) {
      Print(*answer);
    }
  }
  const absl::Status removed = node.RemoveAll();
  return status.ok() ? removed : status;
}

}  // namespace davit::bench
