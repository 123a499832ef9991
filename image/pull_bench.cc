// SPDX-License-Identifier: Apache-2.0
//
// pull_bench ROOT IMAGE [IMAGE ...]: pulls into an empty store without a daemon around it, for a
// profiler to look at. Prints milliseconds, processor time and the peak of memory for each.

#include <sys/resource.h>

#include <chrono>
#include <string>

#include <fmt/format.h>

#include "base/db.h"
#include "base/executor.h"
#include "base/file.h"
#include "base/status.h"
#include "image/policy/checker.h"
#include "image/puller.h"
#include "image/signature/signature_store.h"
#include "storage/storage.h"

namespace {

using namespace davit;
using Clock = std::chrono::steady_clock;

absl::Status PullInto(const std::string& root, const std::string& image) {
  RETURN_IF_ERROR(MakeDirs(root));
  ASSIGN_OR_RETURN(const auto db, Db::Open(root + "/davit.db"));
  ASSIGN_OR_RETURN(
      const auto store,
      storage::Storage::Open(
          {.root = root + "/root", .run = root + "/run", .sync = false, .mount_options = {}}, *db));
  Executor executor(8);
  const config::Image config;
  ASSIGN_OR_RETURN(auto signatures, image::SignatureStore::Open(*db));
  ASSIGN_OR_RETURN(const auto policy,
                   image::PolicyChecker::Create(config, root + "/scratch", std::move(signatures)));
  ASSIGN_OR_RETURN(const auto puller, image::Puller::Create(config, *store, *policy, executor));
  Context ctx;
  const auto begin = Clock::now();
  RETURN_IF_ERROR(puller->Pull(ctx, {.name = image}, nullptr).status());
  const std::chrono::duration<double, std::milli> took = Clock::now() - begin;
  rusage used = {};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  fmt::print("{}: {:.0f} ms, user {:.2f} s, system {:.2f} s, peak {} kB\n", image, took.count(),
             seconds(used.ru_utime), seconds(used.ru_stime), used.ru_maxrss);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    const std::string root = std::string(argv[1]) + "/" + std::to_string(i);
    if (const absl::Status status = PullInto(root, argv[i]); !status.ok()) {
      fmt::print(stderr, "pull_bench: {}\n", Message(status));
      return 1;
    }
  }
  return 0;
}
