// SPDX-License-Identifier: Apache-2.0
//
// What Cni::Add and Del cost beyond the plugins: the same plugins executed by a plain loop, which
// checks, keeps and undoes nothing, against Add and Del, turn about. Needs root; uses namespaces of
// its own.
//
//   network_bench [rounds]
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>

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
  std::vector<double> add;
  std::vector<double> del;
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
  const auto measure_plain = [&](Series& series, const PodNetwork& pod, size_t plugins) {
    std::string result;
    series.add.push_back(Milliseconds([&] { result = plain.Add(pod, plugins); }));
    series.del.push_back(Milliseconds([&] { plain.Del(pod, plugins, result); }));
  };
  Series all[] = {{"plain loop, bridge and portmap", {}, {}},
                  {"plain loop, bridge alone", {}, {}},
                  {"Cni::Add, Cni::Del", {}, {}}};
  for (int i = -3; i < rounds; ++i) {
    for (size_t kind = 0; kind < 3; ++kind) {
      PodNetwork pod;
      pod.sandbox_id = NewId();
      pod.netns_path = dir + "/ns/" + pod.sandbox_id;
      pod.name = "web";
      pod.name_space = "default";
      PinnedNamespaces pin;
      pin.net = pod.netns_path;
      OrDie(PinNamespaces(pin));
      if (kind < 2) {
        measure_plain(all[kind], pod, kind == 0 ? 2 : 1);
      } else {
        Context ctx;
        all[2].add.push_back(Milliseconds([&] { OrDie((*cni)->Add(ctx, pod).status()); }));
        all[2].del.push_back(Milliseconds([&] { OrDie((*cni)->Del(ctx, pod)); }));
      }
      OrDie(UnpinNamespace(pod.netns_path));
    }
    if (i == -1) {  // warm
      for (Series& series : all) {
        series.add.clear();
        series.del.clear();
      }
    }
  }
  fmt::print("{:34} {:>10} {:>10} {:>10} {:>10}\n", "ms", "ADD p50", "ADD p99", "DEL p50",
             "DEL p99");
  for (const Series& series : all) {
    fmt::print("{:34} {:10.2f} {:10.2f} {:10.2f} {:10.2f}\n", series.name, At(series.add, 0.5),
               At(series.add, 0.99), At(series.del, 0.5), At(series.del, 0.99));
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
