// SPDX-License-Identifier: Apache-2.0
//
// davit-bench: load for any CRI server, and how long it took.
//
//   rounds  makes a pod with one container, runs /bin/true in it, removes it; again and again
//   node    makes pods that stay, and asks about them: see node.h
//   answer  waits for the first answer of a server that starts: see first_answer.h
//   pull    pulls the image, removing it in between; with --clients from so many clients at once
//   remove  removes the image
//   list    lists the images, again and again

#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/lock_checks.h"
#include "base/status.h"
#include "test/bench/first_answer.h"
#include "test/bench/node.h"
#include "test/bench/node_client.h"
#include "test/bench/rounds.h"

namespace {

using davit::bench::NodeClient;
using davit::bench::Samples;

struct Options {
  davit::bench::Target target;
  davit::bench::RoundOptions rounds;
  int calls = 50;
  size_t containers = 0;
  int clients = 1;
  bool json = false;
};

void Print(const Options& options, const Samples& samples) {
  fmt::print("{}", options.json ? samples.Json() + "\n" : samples.Table());
}

absl::Status RunAndPrintRounds(const Options& options) {
  const auto client = NodeClient::Create(options.target);
  ASSIGN_OR_RETURN(const auto result, davit::bench::RunRounds(*client, options.rounds, "bench"));
  Print(options, result.samples);
  return absl::OkStatus();
}

// All at once; the time is that until the last has it.
absl::Status PullFromMany(const Options& options) {
  std::vector<absl::Status> results(options.clients);
  std::vector<std::thread> clients;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < options.clients; ++i) {
    clients.emplace_back([&, i] {
      Samples own;
      results[i] = NodeClient::Create(options.target)->Pull(own);
    });
  }
  for (auto& client : clients) {
    client.join();
  }
  Samples samples;
  samples.Add(
      "PullImage",
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  for (const absl::Status& result : results) {
    RETURN_IF_ERROR(result);
  }
  Print(options, samples);
  return absl::OkStatus();
}

absl::Status RunList(const Options& options) {
  const auto client = NodeClient::Create(options.target);
  Samples warm_up;
  RETURN_IF_ERROR(client->ListImages(warm_up));
  Samples samples;
  for (int i = 0; i < options.calls; ++i) {
    RETURN_IF_ERROR(client->ListImages(samples));
  }
  Print(options, samples);
  return absl::OkStatus();
}

absl::Status RunPull(const Options& options) {
  if (options.clients > 1) {
    return PullFromMany(options);
  }
  const auto client = NodeClient::Create(options.target);
  Samples samples;
  RETURN_IF_ERROR(client->Pull(samples));
  for (int i = 1; i < options.calls; ++i) {
    RETURN_IF_ERROR(client->RemoveImage(samples));
    RETURN_IF_ERROR(client->Pull(samples));
  }
  Print(options, samples);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  davit::ChooseLockChecks();  // of the bare server, as in Davit
  CLI::App app("Load for any CRI server, and how long it took");
  Options options;
  std::function<absl::Status()> chosen;
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--socket", options.target.socket, "of the server")->required();
  app.add_option("--image", options.target.image, "with a shell in it")->required();
  app.add_option("--runtime-handler", options.target.runtime_handler, "of the pods");
  app.add_option("--cgroup-parent", options.target.cgroup_parent, "the pods' cgroups are below it");
  app.add_option("--log-directory", options.target.log_directory, "of the pods")
      ->default_val("/tmp");
  app.add_flag("--json", options.json, "every single time, in milliseconds");
  auto* rounds = app.add_subcommand("rounds", "time a pod's life");
  rounds->add_option("--rounds", options.rounds.rounds, "for each of the parallel ones");
  rounds->add_option("--warm-up", options.rounds.warm_up, "rounds that do not count");
  rounds->add_option("--execs", options.rounds.execs, "in each round");
  rounds->add_option("--parallel", options.rounds.parallel, "pods at a time")
      ->check(CLI::Range(1, 256));
  rounds->callback([&] { chosen = [&] { return RunAndPrintRounds(options); }; });
  app.add_subcommand("node", "pods that stay: commands of standard input")->callback([&] {
    chosen = [&] { return davit::bench::ServeCommands(options.target, std::cin); };
  });
  auto* answer = app.add_subcommand("answer", "wait until a server that starts answers");
  answer->add_option("--containers", options.containers, "that it must list");
  answer->callback([&] {
    chosen = [&] { return davit::bench::AwaitFirstAnswer(options.target, options.containers); };
  });
  auto* pull = app.add_subcommand("pull", "time a pull");
  pull->add_option("--rounds", options.calls, "pulls");
  pull->add_option("--clients", options.clients, "that pull at once, one round")
      ->check(CLI::Range(1, 256));
  pull->callback([&] { chosen = [&] { return RunPull(options); }; });
  app.add_subcommand("remove", "remove the image")->callback([&] {
    chosen = [&]() -> absl::Status {
      Samples ignored;
      return NodeClient::Create(options.target)->RemoveImage(ignored);
    };
  });
  auto* list = app.add_subcommand("list", "time ListImages");
  list->add_option("--rounds", options.calls, "calls");
  list->callback([&] { chosen = [&] { return RunList(options); }; });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  if (const absl::Status status = chosen(); !status.ok()) {
    fmt::print(stderr, "davit-bench: {}\n", davit::Message(status));
    return 1;
  }
  return 0;
}
