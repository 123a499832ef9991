// SPDX-License-Identifier: Apache-2.0
//
// Pulls from registries that misbehave: the right error in bounded time and memory, nothing left
// behind, and the next good pull works. And what an operator sees of a pull while it runs and
// after.

#include <sys/mount.h>
#include <sys/vfs.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "image/test_util.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"
#include "test/registry/faults.h"

namespace davit::e2e {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr const char* kShortTimeouts = "image: {progress_timeout: 3s}\n";
// A debug build, at rest, has a third of it.
constexpr uint64_t kMostMemoryKb = 100'000;

class PullE2e : public E2eTest {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = kShortTimeouts, .failpoints = {}};
  }

  absl::StatusOr<v1::PullImageResponse> TryPull(const std::string& image) {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(image);
    return client().PullImage(request);
  }
  absl::Status Remove(const std::string& image) {
    v1::RemoveImageRequest request;
    request.mutable_image()->set_image(image);
    return client().RemoveImage(request).status();
  }
  [[nodiscard]] std::vector<std::string> Layers() {
    return ListDir(daemon().root() + "/layers").value_or(std::vector<std::string>());
  }
  void ExpectNothingLeft() {
    EXPECT_TRUE(Must(client().ListImages()).images().empty());
    EXPECT_TRUE(Eventually([this] { return Layers().empty(); })) << Join(Layers(), " ");
  }
  std::string MustDavit(std::vector<std::string> args) {
    args.insert(args.begin(), {DavitPath(), "--socket", daemon().socket()});
    const RunResult run = RunCommand(args);
    EXPECT_EQ(run.exit.code, 0) << Join(args, " ") << ": " << run.err;
    return run.out;
  }
  [[nodiscard]] uint64_t PeakKb() {
    const std::string status =
        Must(ReadFile("/proc/" + std::to_string(daemon().pid()) + "/status"));
    const size_t at = status.find("VmHWM:");
    return ParseUint(Words(status.substr(at)).at(1)).value_or(0);
  }
};

class RegistryFaultTest : public PullE2e, public testing::WithParamInterface<std::string> {};

TEST_P(RegistryFaultTest, IsToldAndSurvived) {
  const auto& faults = test::RegistryFaults();
  const auto fault = std::find_if(faults.begin(), faults.end(),
                                  [](const auto& one) { return one.name == GetParam(); });
  image::FakeRegistry bad;
  const image::FakeImage image = test::FaultImage();
  bad.Add("app", "1", image);
  bad.Add("app", "good", image);
  fault->apply(bad, image);
  const auto start = Clock::now();
  const auto result = TryPull(bad.host() + "/app:1");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(45));
  if (fault->code == absl::StatusCode::kOk) {
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(Remove(bad.host() + "/app:1").ok());
  } else {
    // The kubelet reads a registry that is away from the message, and only of this code.
    const bool away = fault->code == absl::StatusCode::kUnavailable;
    ExpectError(result.status(), away ? absl::StatusCode::kUnknown : fault->code, fault->says);
    EXPECT_NE(result.status().message().find("app:1"), std::string::npos) << result.status();
  }
  ExpectNothingLeft();
  bad.ClearFaults();
  const auto next = TryPull(bad.host() + "/app:good");
  EXPECT_TRUE(next.ok()) << next.status();
  EXPECT_LT(PeakKb(), kMostMemoryKb);
}

std::vector<std::string> FaultNames() {
  std::vector<std::string> names;
  for (const auto& fault : test::RegistryFaults()) {
    names.push_back(fault.name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Faults, RegistryFaultTest, testing::ValuesIn(FaultNames()),
                         [](const testing::TestParamInfo<std::string>& fault) {
                           std::string name = fault.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class PullWatch : public PullE2e {
 protected:
  TestDaemon::Options DaemonOptions() override { return {.drop_in = {}, .failpoints = {}}; }
};

TEST_F(PullWatch, RunningPullsAreListedForAnyNumberOfClients) {
  EXPECT_EQ(Split(MustDavit({"images", "--in-progress"}), '\n').size(), 2U) << "only the header";
  image::FakeRegistry slow;
  const image::FakeImage image = test::FaultImage();
  slow.Add("app", "1", image);
  slow.Inject("/blobs/" + image.layer(0).text(), 1000,
              [](const image::FakeRequest&, image::FakeResponse& r) { r.stall_after = 1'000'000; });
  v1::PullImageRequest request;
  request.mutable_image()->set_image(slow.host() + "/app:1");
  absl::Status status;
  std::thread first([&] { status = client().PullImage(request, 15s).status(); });
  std::thread second([&] { (void)client().PullImage(request, 15s).status(); });
  json pull;
  EXPECT_TRUE(Eventually([&] {
    const json now = json::parse(MustDavit({"images", "--in-progress", "-o", "json"}));
    if (!now.contains("pulls") || now.at("pulls").size() != 1) {
      return false;
    }
    pull = now.at("pulls").at(0);
    return pull.value("waiters", 0) == 2 && pull.contains("layers") &&
           pull.at("layers").at(0).value("done_bytes", "0") != "0" &&
           pull.at("layers").at(1).value("state", "") == "LAYER_DONE";
  })) << pull.dump();
  EXPECT_EQ(pull.at("image"), slow.host() + "/app:1");
  EXPECT_EQ(pull.at("layers").size(), 3U);
  const std::string table = MustDavit({"images", "--in-progress"});
  EXPECT_NE(table.find("2/3"), std::string::npos) << table;
  EXPECT_NE(table.find("fetch layers"), std::string::npos) << table;
  first.join();
  second.join();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(Eventually([&] {
    const json now = json::parse(MustDavit({"images", "--in-progress", "-o", "json"}));
    return now.value("pulls", json::array()).empty();
  }));
  ExpectNothingLeft();
}

TEST_F(PullWatch, TimelineTellsTheStages) {
  image::FakeRegistry good;
  good.Add("app", "1", test::FaultImage());
  const std::string out = MustDavit({"pull", "--timing", good.host() + "/app:1"});
  for (const char* stage : {"pull", "manifest", "config", "layers", "layer", "fetch", "decompress",
                            "apply", "commit", "sync"}) {
    EXPECT_NE(out.find(std::string(stage) + " "), std::string::npos) << stage << ": " << out;
  }
  const std::string list = MustDavit({"timeline"});
  const size_t at = list.find("  pull");
  ASSERT_NE(at, std::string::npos) << list;
  const std::string trace = list.substr(at - 32, 32);
  EXPECT_NE(MustDavit({"timeline", trace}).find("commit"), std::string::npos);
  EXPECT_NE(list.find(good.host() + "/app:1"), std::string::npos) << list;
}

TEST_F(PullWatch, SeveralImagesAtOnce) {
  image::FakeRegistry good;
  std::vector<std::string> args = {"pull"};
  for (int i = 0; i < 10; ++i) {
    good.Add("app" + std::to_string(i), "1",
             image::MakeImage({image::Tar({{"f", std::to_string(i)}})}));
    args.push_back(good.host() + "/app" + std::to_string(i) + ":1");
  }
  MustDavit(args);
  EXPECT_EQ(Must(client().ListImages()).images_size(), 10);
}

// The store on a file system of its own, of a size that is too small, then large enough.
class DiskFull : public PullE2e {
 protected:
  bool StartsDaemon() override { return false; }

  void SetUp() override {
    PullE2e::SetUp();
    Must(MakeDirs(daemon().root()));
    ASSERT_EQ(mount("tmpfs", daemon().root().c_str(), "tmpfs", 0, "size=200m,mode=0700"), 0);
    TakeBaseline();
    StartDaemon({.drop_in = kShortTimeouts, .failpoints = {}});
  }
  void TearDown() override {
    PullE2e::TearDown();
    EXPECT_EQ(umount(daemon().root().c_str()), 0);
  }
  void Resize(uint64_t kilobytes) {
    const std::string options = "size=" + std::to_string(kilobytes) + "k";
    ASSERT_EQ(mount("", daemon().root().c_str(), "", MS_REMOUNT, options.c_str()), 0);
  }
  [[nodiscard]] uint64_t UsedKb() {
    struct statfs st = {};
    statfs(daemon().root().c_str(), &st);
    return (st.f_blocks - st.f_bfree) * static_cast<uint64_t>(st.f_bsize) / 1024;
  }
};

TEST_F(DiskFull, AtAnyPointOfAPull) {
  image::FakeRegistry registry;
  const image::FakeImage kept = image::MakeImage({image::Tar({{"kept", "1"}})});
  registry.Add("kept", "1", kept);
  registry.Add("app", "1", test::FaultImage());
  Must(TryPull(registry.host() + "/kept:1").status());
  const uint64_t base = UsedKb();
  int failed = 0;
  // From no room at all to just enough.
  for (const uint64_t room : {0, 4, 40, 300, 1500, 4000, 8000, 11000, 12000, 12200, 12300, 12350}) {
    Resize(base + room);
    const auto result = TryPull(registry.host() + "/app:1");
    if (result.ok()) {
      Must(Remove(registry.host() + "/app:1"));
    } else {
      ++failed;
      EXPECT_TRUE(absl::IsResourceExhausted(result.status())) << room << ": " << result.status();
    }
    EXPECT_EQ(Must(client().ListImages()).images_size(), 1);
    EXPECT_TRUE(Eventually([&] { return Layers().size() == 1; })) << Join(Layers(), " ");
    EXPECT_TRUE(Eventually([&] { return UsedKb() <= base + 300; }))
        << room << ": " << UsedKb() << " of " << base;
  }
  EXPECT_GE(failed, 8);
  Resize(200'000);
  EXPECT_TRUE(TryPull(registry.host() + "/app:1").ok());
  RestartDaemon();
  EXPECT_EQ(Must(client().ListImages()).images_size(), 2);
}

}  // namespace
}  // namespace davit::e2e
