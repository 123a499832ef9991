// SPDX-License-Identifier: Apache-2.0
//
// davit-bench: load for any CRI server, and how long it took.
//
//   rounds  makes a pod with one container, runs /bin/true in it, removes it; again and again
//   execs   runs /bin/true in one container, again and again; says what the machine spent on each
//   hold    makes many pods, says "ready", and removes them when its standard input ends
//   pull    pulls the image, removing it in between; with --clients from so many clients at once
//   remove  removes the image
//   list    lists the images, again and again

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "test/bench/node_client.h"

namespace {

using davit::bench::NodeClient;
using davit::bench::PodAndContainer;
using davit::bench::Samples;

struct Options {
  davit::bench::Target target;
  int rounds = 50;
  int warm_up = 3;
  int execs = 3;
  int parallel = 1;
  int count = 50;
  int clients = 1;
  bool json = false;
};

void Print(const Options& options, const Samples& samples) {
  fmt::print("{}", options.json ? samples.Json() : samples.Table());
}

absl::Status Round(NodeClient& client, const Options& options, const std::string& name,
                   Samples& samples) {
  ASSIGN_OR_RETURN(const PodAndContainer made, client.Run(name, samples));
  absl::Status status;
  for (int i = 0; i < options.execs && status.ok(); ++i) {
    status = client.ExecTrue(made, samples);
  }
  const absl::Status removed = client.Remove(made, samples);
  return status.ok() ? removed : status;
}

absl::Status RunRounds(const Options& options) {
  const auto client = NodeClient::Create(options.target);
  Samples warm_up;
  for (int i = 0; i < options.warm_up; ++i) {
    RETURN_IF_ERROR(Round(*client, options, "warm-up", warm_up));
  }
  std::vector<Samples> samples(options.parallel);
  std::vector<absl::Status> results(options.parallel);
  std::vector<std::thread> workers;
  for (int worker = 0; worker < options.parallel; ++worker) {
    workers.emplace_back([&, worker] {
      for (int i = 0; i < options.rounds && results[worker].ok(); ++i) {
        results[worker] =
            Round(*client, options, fmt::format("bench-{}-{}", worker, i), samples[worker]);
      }
    });
  }
  for (auto& worker : workers) {
    worker.join();
  }
  Samples all;
  for (int worker = 0; worker < options.parallel; ++worker) {
    RETURN_IF_ERROR(results[worker]);
    all.Merge(samples[worker]);
  }
  Print(options, all);
  return absl::OkStatus();
}

// Of all processors since the start, without the time that they were idle: an exec is the work of
// many short processes, the kernel and the server.
absl::StatusOr<double> BusySeconds() {
  ASSIGN_OR_RETURN(const std::string stat, davit::ReadFile("/proc/stat"));
  // cpu user nice system idle iowait irq softirq steal ...
  const std::vector<std::string> words = davit::Words(stat.substr(0, stat.find('\n')));
  double ticks = 0;
  for (const size_t i : {1U, 2U, 3U, 6U, 7U}) {
    const auto value = i < words.size() ? davit::ParseUint(words[i]) : std::nullopt;
    ticks += value ? static_cast<double>(*value) : 0;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

absl::Status RunExecs(const Options& options) {
  const auto client = NodeClient::Create(options.target);
  Samples ignored;
  ASSIGN_OR_RETURN(const PodAndContainer made, client->Run("execs", ignored));
  absl::Status status;
  for (int i = 0; i < options.warm_up && status.ok(); ++i) {
    status = client->ExecTrue(made, ignored);
  }
  Samples samples;
  ASSIGN_OR_RETURN(const double before, BusySeconds());
  for (int i = 0; i < options.rounds && status.ok(); ++i) {
    status = client->ExecTrue(made, samples);
  }
  ASSIGN_OR_RETURN(const double after, BusySeconds());
  const absl::Status removed = client->Remove(made, ignored);
  RETURN_IF_ERROR(status);
  samples.Add("processor time of the machine for each", (after - before) * 1000 / options.rounds);
  Print(options, samples);
  return removed;
}

absl::Status RunHold(const Options& options) {
  const auto client = NodeClient::Create(options.target);
  Samples samples;
  std::vector<PodAndContainer> made;
  absl::Status status;
  for (int i = 0; i < options.count && status.ok(); ++i) {
    auto one = client->Run(fmt::format("hold-{}", i), samples);
    status = one.status();
    if (one.ok()) {
      made.push_back(*std::move(one));
    }
  }
  if (status.ok()) {
    fmt::print("ready\n");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
  }
  for (const auto& one : made) {
    const absl::Status removed = client->Remove(one, samples);
    status = status.ok() ? removed : status;
  }
  return status;
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
  for (int i = 0; i < options.rounds; ++i) {
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
  for (int i = 1; i < options.rounds; ++i) {
    RETURN_IF_ERROR(client->RemoveImage(samples));
    RETURN_IF_ERROR(client->Pull(samples));
  }
  Print(options, samples);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
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
  rounds->add_option("--rounds", options.rounds, "for each of the parallel ones");
  rounds->add_option("--warm-up", options.warm_up, "rounds that do not count");
  rounds->add_option("--execs", options.execs, "in each round");
  rounds->add_option("--parallel", options.parallel, "pods at a time")->check(CLI::Range(1, 256));
  rounds->callback([&] { chosen = [&] { return RunRounds(options); }; });
  auto* execs = app.add_subcommand("execs", "time ExecSync, and what the machine spends on it");
  execs->add_option("--rounds", options.rounds, "calls");
  execs->add_option("--warm-up", options.warm_up, "calls that do not count");
  execs->callback([&] { chosen = [&] { return RunExecs(options); }; });
  auto* hold = app.add_subcommand("hold", "keep pods until standard input ends");
  hold->add_option("--count", options.count, "pods with one container each");
  hold->callback([&] { chosen = [&] { return RunHold(options); }; });
  auto* pull = app.add_subcommand("pull", "time a pull");
  pull->add_option("--rounds", options.rounds, "pulls");
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
  list->add_option("--rounds", options.rounds, "calls");
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
