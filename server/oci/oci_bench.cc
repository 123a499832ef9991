// SPDX-License-Identifier: Apache-2.0
//
// What starting a container and executing in it cost, of which the OCI runtime itself is the most.
#include <signal.h>

#include <chrono>
#include <memory>

#include <benchmark/benchmark.h>

#include "base/status.h"
#include "server/oci/monitor.h"
#include "server/oci/test_container.h"

namespace davit::server::oci {
namespace {

using std::chrono::seconds;

void BM_StartMonitor(benchmark::State& state, const char* runtime) {
  if (const std::string why = WhyNoContainers(runtime); !why.empty()) {
    state.SkipWithError(why.c_str());
    return;
  }
  Context ctx{seconds(600)};
  for (auto unused : state) {
    state.PauseTiming();
    auto container = std::make_unique<TestContainer>(runtime);
    state.ResumeTiming();
    auto handle = container->Start(ctx, {.args = {"sleep", "1000"}, .pid_namespace = {}});
    state.PauseTiming();
    if (handle.ok()) {
      kill(handle->container_pid, SIGKILL);
      benchmark::DoNotOptimize(container->AwaitExit(ctx, *handle));
    }
    container.reset();
    state.ResumeTiming();
  }
}

template <typename Body>
void WithContainer(benchmark::State& state, const char* runtime, const Body& body) {
  if (const std::string why = WhyNoContainers(runtime); !why.empty()) {
    state.SkipWithError(why.c_str());
    return;
  }
  Context ctx{seconds(600)};
  TestContainer container(runtime);
  auto handle = container.Start(ctx, {.args = {"sleep", "1000"}, .pid_namespace = {}});
  if (!handle.ok()) {
    state.SkipWithError(Message(handle.status()).c_str());
    return;
  }
  for (auto unused : state) {
    if (!body(ctx, container)) {
      state.SkipWithError("failed");
      break;
    }
  }
  kill(handle->container_pid, SIGKILL);
  benchmark::DoNotOptimize(container.AwaitExit(ctx, *handle));
}

void BM_Exec(benchmark::State& state, const char* runtime) {
  WithContainer(state, runtime, [](Context& ctx, TestContainer& container) {
    return container.Exec(ctx, {"true"}).ok();
  });
}

void BM_FindMonitor(benchmark::State& state) {
  WithContainer(state, "crun", [](Context&, TestContainer& container) {
    return FindMonitor(container.options().run_dir).ok();
  });
}

BENCHMARK_CAPTURE(BM_StartMonitor, crun, "crun")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_StartMonitor, runc, "runc")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Exec, crun, "crun")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Exec, runc, "runc")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(BM_FindMonitor)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace davit::server::oci

BENCHMARK_MAIN();
