// SPDX-License-Identifier: Apache-2.0
//
// How long a layer takes from its first byte to being visible, and a root file system from nothing
// to mounted and back. Arguments: a directory to work in, and a tar file to apply (else one is
// made).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string MakeTar() {
  TarBuilder tar;
  for (int dir = 0; dir < 200; ++dir) {
    tar.Dir(fmt::format("usr/share/d{}", dir));
    for (int file = 0; file < 100; ++file) {
      tar.File(fmt::format("usr/share/d{}/f{}", dir, file), std::string(4000, 'x'));
    }
  }
  tar.File("usr/lib/big", std::string(size_t{200} << 20U, 'b'));
  return tar.Finish();
}

absl::Status ApplyOnce(Storage& store, const std::string& tar, const char* what) {
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(const auto writer, store.NewLayer());
  constexpr size_t kPortion = 256U << 10U;
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(tar.data()), tar.size());
  for (size_t at = 0; at < bytes.size(); at += kPortion) {
    RETURN_IF_ERROR(writer->Write(bytes.subspan(at, std::min(kPortion, bytes.size() - at))));
  }
  ASSIGN_OR_RETURN(const auto layer, writer->Finish({}, {}));
  const double applied = SecondsSince(start);
  const ImageRecord image{.id = std::string(64, 'a'),
                          .tags = {},
                          .digests = {},
                          .config_json = "{}",
                          .manifest_json = "{}",
                          .layers = {layer->info().diff_id}};
  RETURN_IF_ERROR(store.CommitImage(image, {layer}));
  const double committed = SecondsSince(start);
  const double megabytes = static_cast<double>(tar.size()) / 1e6;
  fmt::print("{:10} {:7.0f} MB {:7} files: applied {:6.2f} s ({:4.0f} MB/s), committed {:6.2f} s\n",
             what, megabytes, layer->info().files, applied, megabytes / applied, committed);
  return absl::OkStatus();
}

class Silent : public CheckObserver {
 public:
  void Found(const CheckFinding& finding) override {
    fmt::print("{}: {}\n", finding.object, finding.text);
  }
};

absl::Status CheckAll(Storage& store) {
  Context ctx;
  Silent silent;
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(const CheckReport report, store.Check(ctx, {.full = true}, silent));
  const double seconds = SecondsSince(start);
  fmt::print("checked by content: {:.0f} MB in {:.2f} s\n", static_cast<double>(report.bytes) / 1e6,
             seconds);
  return absl::OkStatus();
}

// What recipes cost in space.
uint64_t RecipeBytes(const Options& options, const std::string& tar) {
  const Paths paths(options.root, options.run);
  return static_cast<uint64_t>(StatOf(paths.Layer(Digest::Sha256Of(tar)) + "/recipe").st_size);
}

absl::Status Rootfs(Storage& store) {
  constexpr int kRounds = 200;
  double create = 0;
  double mount = 0;
  double remove = 0;
  for (int i = 0; i < kRounds; ++i) {
    const std::string id = "c" + std::to_string(i);
    auto start = Clock::now();
    RETURN_IF_ERROR(store.CreateRootfs(id, std::string(64, 'a')));
    create += SecondsSince(start);
    start = Clock::now();
    RETURN_IF_ERROR(store.MountRootfs(id, {}).status());
    mount += SecondsSince(start);
    start = Clock::now();
    RETURN_IF_ERROR(store.RemoveRootfs(id));
    remove += SecondsSince(start);
  }
  fmt::print("root file system, mean of {}: create {:.2f} ms, mount {:.2f} ms, remove {:.2f} ms\n",
             kRounds, create / kRounds * 1e3, mount / kRounds * 1e3, remove / kRounds * 1e3);
  return absl::OkStatus();
}

absl::Status Bench(const std::string& directory, const std::string& tar_file) {
  std::string tar;
  if (tar_file.empty()) {
    tar = MakeTar();
  } else {
    ASSIGN_OR_RETURN(tar, ReadFile(tar_file, size_t{4} << 30U));
  }
  constexpr struct {
    const char* name;
    bool sync;
    bool recipes;
  } kRuns[] = {{"warm up", false, false},   {"no recipe", false, false}, {"recipe", false, true},
               {"no recipe", false, false}, {"recipe", false, true},     {"sync", true, true}};
  for (const auto& run : kRuns) {
    Options options;
    options.root = JoinPath(directory, "davit-storage-bench");
    options.run = options.root + "-run";
    options.sync = run.sync;
    options.recipes = run.recipes;
    RETURN_IF_ERROR(MakeDirs(options.root));
    ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, Db::Open(options.root + "/davit.db"));
    ASSIGN_OR_RETURN(const std::unique_ptr<Storage> store, Storage::Open(options, *db));
    RETURN_IF_ERROR(ApplyOnce(*store, tar, run.name));
    if (run.recipes) {
      fmt::print("recipe: {} bytes\n", RecipeBytes(options, tar));
      RETURN_IF_ERROR(CheckAll(*store));
    }
    RETURN_IF_ERROR(Rootfs(*store));
    const auto start = Clock::now();
    RETURN_IF_ERROR(store->RemoveImage(std::string(64, 'a')));
    fmt::print("image removed in {:.2f} s\n", SecondsSince(start));
    RETURN_IF_ERROR(RemoveTree(options.root));
    RETURN_IF_ERROR(RemoveTree(options.run));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace davit::storage

int main(int argc, char** argv) {
  if (!davit::storage::EnterTestNamespace()) {
    fmt::print(stderr, "storage_bench needs root\n");
    return 1;
  }
  const absl::Status status =
      davit::storage::Bench(argc > 1 ? argv[1] : "/tmp", argc > 2 ? argv[2] : "");
  if (!status.ok()) {
    fmt::print(stderr, "{}\n", davit::Message(status));
  }
  return status.ok() ? 0 : 1;
}
