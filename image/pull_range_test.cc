// SPDX-License-Identifier: Apache-2.0
//
// Large layers in parallel ranges, from registries that serve them well, badly and not at all.
#include <map>
#include <string>
#include <thread>

#include "image/pull_fixture.h"
#include "image/ranges.h"

namespace davit::image {
namespace {

using Strings = std::vector<std::string>;

constexpr size_t kLarge = 5 * kRangeBytes + 12345;

// The content is the same in all tests: making it is what takes the time.
const FakeImage& LargeImage() {
  static const FakeImage* const image =
      new FakeImage(MakeImage({Tar({{"big", Noise(kLarge, 5)}})}));
  return *image;
}

class PullRangeTest : public PullFixture {
 protected:
  PullRangeTest() {
    registry_.Add("app", "1", image_);
    config_.progress_timeout = std::chrono::seconds(20);  // a busy machine is no fault
    MakePuller();
  }

  void ExpectPulled() {
    const auto result = Pull(Name("/app:1"));
    ASSERT_TRUE(result.ok()) << result.status();
    const auto record = *storage_->FindImage(image_.id());
    ASSERT_TRUE(record);
    EXPECT_TRUE(LayerFile((*record)->layers[0], "big") == Noise(kLarge, 5));
  }
  // Requests for the layer: those for a range, or all of them.
  static size_t Count(const Strings& requests, const std::string& part,
                      const std::string& and_part = "") {
    size_t count = 0;
    for (const std::string& request : requests) {
      const bool both =
          request.find(part) != std::string::npos && request.find(and_part) != std::string::npos;
      count += both ? 1 : 0;
    }
    return count;
  }
  [[nodiscard]] std::string Blob() const { return "/blobs/" + image_.layer(0).text(); }
  [[nodiscard]] size_t Pieces() const {
    return (image_.layers[0].bytes.size() + kRangeBytes - 1) / kRangeBytes;
  }

  const FakeImage& image_ = LargeImage();
};

TEST_F(PullRangeTest, EachByteIsFetchedOnce) {
  ExpectPulled();
  const Strings requests = registry_.TakeRequests();
  EXPECT_EQ(Count(requests, Blob()), Pieces());
  EXPECT_EQ(Count(requests, Blob(), "bytes="), Pieces());
}

TEST_F(PullRangeTest, WithoutMemoryForRangesThereIsOneRequest) {
  config_.range_memory = 0;
  MakePuller();
  ExpectPulled();
  EXPECT_EQ(Count(registry_.TakeRequests(), Blob()), 1U);
}

TEST_F(PullRangeTest, OneConnectionIfConfigured) {
  config_.max_ranges_per_layer = 1;
  MakePuller();
  ExpectPulled();
  EXPECT_EQ(Count(registry_.TakeRequests(), Blob(), "bytes="), 0U);
}

TEST_F(PullRangeTest, RegistryThatIgnoresRangesIsAskedOnce) {
  registry_.ForbidRanges();
  ExpectPulled();
  const Strings requests = registry_.TakeRequests();
  EXPECT_EQ(Count(requests, Blob(), "bytes="), 1U);
  EXPECT_EQ(Count(requests, Blob()), 2U);
}

TEST_F(PullRangeTest, RegistryThatRefusesRangesIsAskedForAll) {
  for (const int status : {400, 403, 405, 416, 501}) {
    registry_.Inject(Blob(), 1000, [status](const FakeRequest& request, FakeResponse& r) {
      if (!request.Header("range").empty()) {
        r = {.status = status};
      }
    });
    ExpectPulled();
    ASSERT_TRUE(storage_->RemoveImage(image_.id()).ok());
    registry_.ClearFaults();
    MakePuller();
  }
}

TEST_F(PullRangeTest, BrokenRangesGoOnWhereTheyStopped) {
  registry_.Inject(Blob(), 20, [](const FakeRequest&, FakeResponse& r) { r.cut_after = 300'000; });
  ExpectPulled();
  EXPECT_EQ(Count(registry_.TakeRequests(), Blob()), Pieces() + 20);
}

TEST_F(PullRangeTest, StalledRangeIsFetchedAgain) {
  config_.progress_timeout = std::chrono::milliseconds(1500);
  MakePuller();
  registry_.Inject(Blob(), 3, [](const FakeRequest&, FakeResponse& r) { r.stall_after = 200'000; });
  ExpectPulled();
}

TEST_F(PullRangeTest, RangeOfTooManyBytesIsDataLoss) {
  registry_.Inject(Blob(), 1000, [](const FakeRequest& request, FakeResponse& r) {
    if (request.Header("range") != "") {
      r.body += std::string(kRangeBytes, 'x');
    }
  });
  ExpectFailure(Pull(Name("/app:1")), absl::StatusCode::kDataLoss, {"more than the range"});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullRangeTest, WrongRangeIsNotTaken) {
  registry_.Inject(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) {
    r.headers = {{"Content-Range", "bytes 7-9/10"}};
  });
  ExpectFailure(Pull(Name("/app:1")), absl::StatusCode::kUnknown, {"another range"});
  ExpectNothingLeft();
}

TEST_F(PullRangeTest, DamagedRangeIsDataLoss) {
  registry_.Inject(Blob(), 1, [](const FakeRequest&, FakeResponse& r) { r.body[1000] ^= 1; });
  ExpectFailure(Pull(Name("/app:1")), absl::StatusCode::kDataLoss, {"digest"});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullRangeTest, RegistryLeadsEachConnectionToTheStoreOnce) {
  FakeRegistry store;
  store.Add("app", "1", image_);
  registry_.Inject(Blob(), 1000, [&](const FakeRequest& request, FakeResponse& r) {
    r = {.status = 307, .headers = {{"Location", "http://" + store.host() + request.target}}};
  });
  ExpectPulled();
  EXPECT_LE(Count(registry_.TakeRequests(), Blob()), 4U);
  EXPECT_EQ(Count(store.TakeRequests(), Blob(), "bytes="), Pieces());
}

TEST_F(PullRangeTest, AddressThatHasExpiredIsAskedForAgain) {
  FakeRegistry store;
  store.Add("app", "1", image_);
  int given = 0;
  registry_.Inject(Blob(), 1000, [&](const FakeRequest& request, FakeResponse& r) {
    r = {.status = 307,
         .headers = {{"Location", "http://" + store.host() + request.target +
                                      "?address=" + std::to_string(++given)}}};
  });
  std::map<std::string, int> served;  // each address is good for two requests
  store.Inject(Blob(), 1000, [&served](const FakeRequest& request, FakeResponse& r) {
    if (++served[request.target] > 2) {
      r = {.status = 403};
    }
  });
  ExpectPulled();
  EXPECT_GT(Count(registry_.TakeRequests(), Blob()), 1U);
}

TEST_F(PullRangeTest, CancelEndsAllConnections) {
  config_.progress_timeout = std::chrono::minutes(10);
  MakePuller();
  registry_.Inject(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) { r.stall_after = 1000; });
  Context ctx;
  absl::StatusOr<PullResult> result = absl::UnknownError("");
  std::thread pull([&] { result = puller_->Pull(ctx, {.name = Name("/app:1")}, nullptr); });
  while (LayerDirectories().empty()) {
    std::this_thread::yield();
  }
  ctx.Cancel();
  pull.join();
  EXPECT_TRUE(absl::IsCancelled(result.status())) << result.status();
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullRangeTest, ManyLargeLayersShareTheMemory) {
  config_.range_memory = 3 * kRangeBytes;
  MakePuller();
  std::vector<std::string> tars;
  for (unsigned i = 0; i < 3; ++i) {
    tars.push_back(Tar({{"f" + std::to_string(i), Noise(kLarge, 20 + i)}}));
  }
  registry_.Add("many", "1", MakeImage(tars));
  const auto result = Pull(Name("/many:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_TRUE(LayerFile(Digest::Sha256Of(tars[i]), "f" + std::to_string(i)) ==
                Noise(kLarge, 20 + i));
  }
}

}  // namespace
}  // namespace davit::image
