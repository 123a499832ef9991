// SPDX-License-Identifier: Apache-2.0
//
// The daemon is killed at random moments of a pull, again and again: afterwards each image is
// wholly there or not there, what is there has the right content, `davit check --full` finds
// nothing, no byte is orphaned, and the next pull works. DAVIT_KILL_ROUNDS says how often (200 take
// a minute or two).

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "image/fake_registry.h"
#include "image/ranges.h"
#include "image/test_util.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Files = std::map<std::string, std::string>;  // path -> content

constexpr int kRounds = 15;

struct KnownImage {
  std::string name;
  std::string id;
  std::set<std::string> layers;  // hex of the diff IDs
};

class PullKill : public E2eTest {
 protected:
  bool StartsDaemon() override { return false; }

  static int Rounds() {
    const char* const text = std::getenv("DAVIT_KILL_ROUNDS");
    return text == nullptr ? kRounds : static_cast<int>(ParseUint(text).value_or(kRounds));
  }

  // The hex of its diff ID.
  std::string AddLayer(const Files& files) {
    const std::string tar = image::Tar({files.begin(), files.end()});
    const std::string id = Digest::Sha256Of(tar).hex();
    content_[id] = files;
    tars_[id] = tar;
    return id;
  }

  void AddImage(const std::string& repository, const std::vector<std::string>& layers) {
    std::vector<std::string> tars;
    for (const std::string& layer : layers) {
      tars.push_back(tars_.at(layer));
    }
    const image::FakeImage image = image::MakeImage(tars);
    registry_.Add(repository, "1", image);
    images_.push_back({.name = registry_.host() + "/" + repository + ":1",
                       .id = image.id(),
                       .layers = {layers.begin(), layers.end()}});
  }

  void MakeImages() {
    Files small;
    for (int i = 0; i < 300; ++i) {
      small["f" + std::to_string(i)] = image::Noise(200, i);
    }
    const std::string shared = AddLayer(small);
    const std::string large = AddLayer({{"large", image::Noise(5 * image::kRangeBytes, 7)}});
    const std::string medium = AddLayer({{"a", image::Noise(700'000, 8)}, {"b", "b"}});
    AddImage("one", {shared, large, AddLayer({{"one", "1"}})});
    AddImage("two", {shared, medium, AddLayer({{"two", "2"}})});
  }

  absl::Status Pull(const KnownImage& image) {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(image.name);
    return client().PullImage(request).status();
  }

  void PullAll() {
    std::vector<std::thread> pulls;
    for (const KnownImage& image : images_) {
      pulls.emplace_back([this, &image] { (void)Pull(image); });
    }
    for (std::thread& pull : pulls) {
      pull.join();
    }
  }

  void ExpectLayer(const std::string& layer) {
    const std::string diff = daemon().root() + "/layers/" + layer + "/diff";
    size_t found = 0;
    for (const auto& entry : fs::recursive_directory_iterator(diff)) {
      const auto expected = content_.at(layer).find(entry.path().filename());
      ASSERT_NE(expected, content_.at(layer).end()) << entry.path();
      EXPECT_TRUE(Must(ReadFile(entry.path(), 64 << 20)) == expected->second) << entry.path();
      ++found;
    }
    EXPECT_EQ(found, content_.at(layer).size()) << "files in layer " << layer;
  }

  // What is there is whole, and nothing else is there. The images that are there.
  std::set<std::string> ExpectSound() {
    std::set<std::string> present;
    const auto list = Must(client().ListImages());
    for (const auto& image : list.images()) {
      present.insert(image.id());
    }
    std::set<std::string> layers;
    for (const KnownImage& image : images_) {
      if (present.contains(image.id)) {
        layers.insert(image.layers.begin(), image.layers.end());
      }
    }
    // What nobody names is deleted in the background.
    EXPECT_TRUE(Eventually([&] { return LayerDirs() == layers; }))
        << testing::PrintToString(LayerDirs()) << " instead of " << testing::PrintToString(layers);
    for (const std::string& layer : layers) {
      ExpectLayer(layer);
    }
    const RunResult check =
        RunCommand({DavitPath(), "--socket", daemon().socket(), "check", "--full"});
    EXPECT_EQ(check.exit.code, 0) << check.out << check.err;
    return present;
  }

  std::set<std::string> LayerDirs() {
    const auto names = Must(ListDir(daemon().root() + "/layers"));
    return {names.begin(), names.end()};
  }

  void RemoveAll() {
    for (const KnownImage& image : images_) {
      v1::RemoveImageRequest request;
      request.mutable_image()->set_image(image.id);
      Must(client().RemoveImage(request).status());
    }
  }

  image::FakeRegistry registry_;
  std::map<std::string, Files> content_;
  std::map<std::string, std::string> tars_;
  std::vector<KnownImage> images_;
};

TEST_F(PullKill, AtRandomMoments) {
  MakeImages();
  StartDaemon({.drop_in = {}, .failpoints = {}});
  const auto start = Clock::now();
  PullAll();
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
  ASSERT_EQ(ExpectSound().size(), images_.size());
  RemoveAll();
  std::minstd_rand random(testing::UnitTest::GetInstance()->random_seed() + 1);
  std::uniform_int_distribution<int64_t> moment(0, whole.count() * 11 / 10);
  std::map<size_t, int> survived;
  for (int round = 0; round < Rounds() && !HasFailure(); ++round) {
    const auto wait = std::chrono::microseconds(moment(random));
    SCOPED_TRACE(
        fmt::format("round {}: killed after {} of {} us", round, wait.count(), whole.count()));
    std::thread pulls([this] { PullAll(); });
    std::this_thread::sleep_for(wait);  // the moment is the test, not a wait for anything
    daemon().Kill();
    pulls.join();
    StartDaemon({.drop_in = {}, .failpoints = {}});
    ++survived[ExpectSound().size()];
    for (const KnownImage& image : images_) {
      Must(Pull(image));
    }
    EXPECT_EQ(ExpectSound().size(), images_.size());
    RemoveAll();
    EXPECT_TRUE(ExpectSound().empty());
  }
  for (const auto& [count, rounds] : survived) {
    fmt::print("{} images there after {} kills\n", count, rounds);
  }
}

}  // namespace
}  // namespace davit::e2e
