// SPDX-License-Identifier: Apache-2.0
//
// What Cni::Add and Del cost beyond the plugins: the same plugins executed by a plain loop, which
// checks, keeps and undoes nothing, against Add and Del, turn about; and against Add and Del with
// what is built in (network.builtin_plugins). Needs root; uses namespaces of its own.
//
//   network_bench [rounds]
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/id.h"
#include "base/namespace.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "network/cni.h"
#include "network/cni_config.h"
#include "network/default_network.h"

namespace davit::network {
namespace {

using Clock = std::chrono::steady_clock;

double Milliseconds(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Of this process and the children that it has waited for.
double CpuMilliseconds() {
  double result = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      result += static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
    }
  }
  return result;
}

void OrDie(const absl::Status& status) {
  if (!status.ok()) {
    fmt::print(stderr, "{}\n", Message(status));
    exit(1);
  }
}

// The least that any runtime must do: execute, hand the result on.
class PlainLoop {
 public:
  explicit PlainLoop(NetworkConfig network) : network_(std::move(network)) {}

  std::string Add(const PodNetwork& pod, size_t plugins) const {
    std::string result;
    for (size_t i = 0; i < plugins; ++i) {
      result = Execute("ADD", pod, network_.plugins[i], result);
    }
    return result;
  }
  void Del(const PodNetwork& pod, size_t plugins, const std::string& result) const {
    for (size_t i = plugins; i-- > 0;) {
      Execute("DEL", pod, network_.plugins[i], result);
    }
  }

 private:
  static std::string Execute(const std::string& command, const PodNetwork& pod,
                             const PluginConfig& plugin, const std::string& previous) {
    SpawnOptions spawn;
    spawn.argv = {"/usr/lib/cni/" + plugin.type};
    spawn.env = MinimalEnv();
    for (const std::string& entry :
         {"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + pod.sandbox_id,
          "CNI_NETNS=" + pod.netns_path, std::string("CNI_IFNAME=eth0"),
          std::string("CNI_PATH=/usr/lib/cni"), std::string("CNI_ARGS=IgnoreUnknown=1")}) {
      spawn.env.push_back(entry);
    }
    const std::string input =
        plugin.stdin_head + (previous.empty() ? "}" : ",\"prevResult\":" + previous + "}");
    Context ctx;
    const absl::StatusOr<RunResult> run = davit::Run(ctx, spawn, RunOptions{.input = input});
    OrDie(run.status());
    OrDie(run->exit.code == 0 ? absl::OkStatus() : Internal("{}: {}", plugin.type, run->out));
    return run->out;
  }

  const NetworkConfig network_;
};

struct Series {
  const char* name;
  std::vector<double> add = {};
  std::vector<double> del = {};
  double add_cpu = 0;
  double del_cpu = 0;

  void Add(const std::function<void()>& work) { Measure(work, add, add_cpu); }
  void Del(const std::function<void()>& work) { Measure(work, del, del_cpu); }

 private:
  static void Measure(const std::function<void()>& work, std::vector<double>& times, double& cpu) {
    const double before = CpuMilliseconds();
    times.push_back(Milliseconds(work));
    cpu += CpuMilliseconds() - before;
  }
};

double At(std::vector<double> values, double quantile) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(static_cast<double>(values.size() - 1) * quantile)];
}

void Measure(const std::string& dir, int rounds) {
  config::Network config;
  config.config_dir = dir + "/net.d";
  config.plugin_dirs = {"/usr/lib/cni"};
  config.cache_dir = dir + "/cache";
  config.default_bridge_name = "br-bench";
  config.default_bridge_subnet = "10.204.0.0/16";
  config.default_bridge_ipam_dir = dir + "/ipam";
  absl::StatusOr<NetworkConfig> network = DefaultBridgeNetwork(config);
  OrDie(network.status());
  const PlainLoop plain(*network);
  absl::StatusOr<std::unique_ptr<Cni>> cni = Cni::Create(config);
  OrDie(cni.status());
  config.builtin_plugins = {"bridge"};
  absl::StatusOr<std::unique_ptr<Cni>> builtin = Cni::Create(config);
  OrDie(builtin.status());
  const auto measure_plain = [&](Series& series, const PodNetwork& pod, size_t plugins) {
    std::string result;
    series.Add([&] { result = plain.Add(pod, plugins); });
    series.Del([&] { plain.Del(pod, plugins, result); });
  };
  constexpr size_t kPlain = 2;
  Series all[] = {{"plain loop, bridge and portmap"},
                  {"plain loop, bridge alone"},
                  {"Cni::Add, Cni::Del"},
                  {"Cni::Add, Cni::Del, built in"}};
  for (int i = -3; i < rounds; ++i) {
    for (size_t kind = 0; kind < std::size(all); ++kind) {
      PodNetwork pod;
      pod.sandbox_id = NewId();
      pod.netns_path = dir + "/ns/" + pod.sandbox_id;
      pod.name = "web";
      pod.name_space = "default";
      PinnedNamespaces pin;
      pin.net = pod.netns_path;
      OrDie(PinNamespaces(pin));
      if (kind < kPlain) {
        measure_plain(all[kind], pod, kind == 0 ? 2 : 1);
      } else {
        Context ctx;
        Cni& tested = kind == kPlain ? **cni : **builtin;
        all[kind].Add([&] { OrDie(tested.Add(ctx, pod).status()); });
        all[kind].Del([&] { OrDie(tested.Del(ctx, pod)); });
      }
      OrDie(UnpinNamespace(pod.netns_path));
    }
    if (i == -1) {  // warm
      for (Series& series : all) {
        series = {series.name};
      }
    }
  }
  fmt::print("{:32} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "ms", "ADD p50", "p99", "CPU",
             "DEL p50", "p99", "CPU");
  for (const Series& series : all) {
    const auto count = static_cast<double>(series.add.size());
    fmt::print("{:32} {:8.2f} {:8.2f} {:8.2f} {:8.2f} {:8.2f} {:8.2f}\n", series.name,
               At(series.add, 0.5), At(series.add, 0.99), series.add_cpu / count,
               At(series.del, 0.5), At(series.del, 0.99), series.del_cpu / count);
  }
  constexpr int kLooks = 10000;
  OrDie((*cni)->Ready());
  const double ready = Milliseconds([&] {
    for (int i = 0; i < kLooks; ++i) {
      OrDie((*cni)->Ready());
    }
  });
  fmt::print("Cni::Ready {:.1f} us\n", ready * 1000 / kLooks);
}

}  // namespace
}  // namespace davit::network

int main(int argc, char** argv) {
  using namespace davit;
  const int rounds = argc > 1 ? static_cast<int>(ParseInt(argv[1]).value_or(50)) : 50;
  std::string dir = "/tmp/davit-network-bench-XXXXXX";
  if (mkdtemp(dir.data()) == nullptr || unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    fmt::print(stderr, "needs root\n");
    return 1;
  }
  network::OrDie(MakeDirs(dir + "/net.d", 0755));
  network::OrDie(MakeDirs(dir + "/ns", 0755));
  network::Measure(dir, rounds < 1 ? 1 : rounds);
  network::OrDie(RemoveTree(dir));
  return 0;
}
