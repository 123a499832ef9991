// SPDX-License-Identifier: Apache-2.0
//
// Registries that misbehave: the right error, nothing left behind, and the next pull works.
#include <sys/socket.h>

#include <thread>

#include <fmt/format.h>

#include "image/pull_fixture.h"

namespace davit::image {
namespace {

using Clock = std::chrono::steady_clock;

class PullFaultTest : public PullFixture {
 protected:
  PullFaultTest() { registry_.Add("app", "1", image_); }

  void Fail(const std::string& part, int times, FakeRegistry::Fault fault) {
    registry_.ClearFaults();
    registry_.Inject(part, times, std::move(fault));
  }
  [[nodiscard]] std::string Blob() const { return "/blobs/" + image_.layer(0).text(); }
  // The pull fails as said, leaves nothing, and the next one works.
  void ExpectPullFails(absl::StatusCode code, const std::vector<std::string>& says) {
    ExpectFailure(Pull(Name("/app:1")), code, says);
    ExpectNothingLeft();
    registry_.ClearFaults();
    const auto next = Pull(Name("/app:1"));
    EXPECT_TRUE(next.ok()) << next.status();
    EXPECT_TRUE(storage_->RemoveImage(image_.id()).ok());
    ExpectNothingLeft();
  }

  const std::string big_ = Tar({{"big", Noise(1'500'000, 9)}});
  const FakeImage image_ = MakeImage({big_, Tar({{"small", "1"}})});
};

TEST_F(PullFaultTest, MissingImageIsNotFound) {
  ExpectFailure(Pull(Name("/app:none")), absl::StatusCode::kNotFound,
                {Name("/app:none"), "MANIFEST_UNKNOWN"});
  ExpectFailure(Pull(Name("/none@sha256:" + std::string(64, 'a'))), absl::StatusCode::kNotFound,
                {});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullFaultTest, InvalidReferenceIsInvalidArgument) {
  ExpectFailure(Pull("UPPER"), absl::StatusCode::kInvalidArgument, {"UPPER"});
}

TEST_F(PullFaultTest, MissingBlobIsNotFound) {
  Fail(Blob(), 100, [](const FakeRequest&, FakeResponse& r) { r = {.status = 404}; });
  ExpectPullFails(absl::StatusCode::kNotFound, {image_.layer(0).text()});
}

TEST_F(PullFaultTest, RegistryThatIsDownIsUnavailable) {
  std::string host;
  {
    const FakeRegistry gone;
    host = gone.host();
  }
  ExpectFailure(Pull(host + "/app:1"), absl::StatusCode::kUnavailable, {host});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullFaultTest, BurstOfServerErrorsIsSurvived) {
  for (const int status : {500, 503, 429}) {
    Fail("/v2/", 3, [status](const FakeRequest&, FakeResponse& r) { r = {.status = status}; });
    const auto result = Pull(Name("/app:1"));
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(storage_->RemoveImage(image_.id()).ok());
  }
}

TEST_F(PullFaultTest, LastingServerErrorIsUnavailable) {
  Fail("/v2/", 1000, [](const FakeRequest&, FakeResponse& r) {
    r = {.status = 502, .body = "<html>secret stack trace</html>"};
  });
  ExpectPullFails(absl::StatusCode::kUnavailable, {"RegistryUnavailable", "502"});
}

TEST_F(PullFaultTest, BrokenTransferGoesOnWhereItStopped) {
  Fail(Blob(), 3, [](const FakeRequest&, FakeResponse& r) { r.cut_after = 400'000; });
  registry_.TakeRequests();
  const auto result = Pull(Name("/app:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LayerFile(Digest::Sha256Of(big_), "big"), Noise(1'500'000, 9));
  size_t resumed = 0;
  for (const std::string& request : registry_.TakeRequests()) {
    resumed += request.find("bytes=") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(resumed, 3U);
}

TEST_F(PullFaultTest, BrokenTransferWithoutRangesStartsOver) {
  registry_.ForbidRanges();
  Fail(Blob(), 2, [](const FakeRequest&, FakeResponse& r) { r.cut_after = 400'000; });
  const auto result = Pull(Name("/app:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LayerFile(Digest::Sha256Of(big_), "big"), Noise(1'500'000, 9));
}

TEST_F(PullFaultTest, TransferThatAlwaysBreaksAtOnePlaceEnds) {
  registry_.ForbidRanges();
  Fail(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) { r.cut_after = 400'000; });
  ExpectPullFails(absl::StatusCode::kUnavailable, {image_.layer(0).text()});
}

TEST_F(PullFaultTest, WrongRangeIsNotTaken) {
  Fail(Blob(), 1000, [](const FakeRequest& request, FakeResponse& r) {
    if (request.Header("range").empty()) {
      r.cut_after = 1000;
    } else {
      r.headers = {{"Content-Range", "bytes 0-9/10"}};
    }
  });
  ExpectPullFails(absl::StatusCode::kUnknown, {"range"});
}

TEST_F(PullFaultTest, WrongBlobDigestIsDataLoss) {
  Fail(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) { r.body[r.body.size() / 2] ^= 1; });
  ExpectPullFails(absl::StatusCode::kDataLoss, {image_.layer(0).text(), "digest"});
  // Other bytes altogether, of the right length.
  Fail(Blob(), 1000,
       [](const FakeRequest&, FakeResponse& r) { r.body = Noise(r.body.size(), 77); });
  ExpectPullFails(absl::StatusCode::kDataLoss, {image_.layer(0).text(), "digest"});
}

TEST_F(PullFaultTest, TruncatedBlobIsDataLoss) {
  Fail(Blob(), 1000, [](const FakeRequest& request, FakeResponse& r) {
    r = request.Header("range").empty() ? FakeResponse{.body = r.body.substr(0, 1000)}
                                        : FakeResponse{.status = 416};
  });
  ExpectPullFails(absl::StatusCode::kDataLoss, {"announces 1000 bytes"});
  // Without a length: the end of the connection looks like the end of the blob.
  registry_.ForbidRanges();
  Fail(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) {
    r = {.body = r.body.substr(0, 1000), .claim_length = false};
  });
  ExpectPullFails(absl::StatusCode::kDataLoss, {"ends after 1000 of"});
}

TEST_F(PullFaultTest, BlobThatIsTooLongIsDataLoss) {
  Fail(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) { r.body += "more"; });
  ExpectPullFails(absl::StatusCode::kDataLoss, {"more than"});
  Fail(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) {
    r = {.body = Noise(100'000, 4), .endless = true};
  });
  ExpectPullFails(absl::StatusCode::kDataLoss, {"more than"});
}

TEST_F(PullFaultTest, EndlessManifestIsCutOff) {
  Fail("/manifests/", 1000, [](const FakeRequest&, FakeResponse& r) {
    r = {.body = std::string(65536, ' '), .endless = true};
  });
  ExpectPullFails(absl::StatusCode::kResourceExhausted, {"manifest is over"});
}

TEST_F(PullFaultTest, EndlessErrorIsCutOff) {
  Fail("/manifests/", 1000, [](const FakeRequest&, FakeResponse& r) {
    r = {.status = 404, .body = std::string(65536, ' '), .endless = true};
  });
  ExpectPullFails(absl::StatusCode::kNotFound, {"404"});
}

TEST_F(PullFaultTest, InvalidJsonIsInvalidArgument) {
  for (const char* body :
       {"{\"layers\": [", "not json", "", "[]", "null", "{\"layers\": 7, \"config\": {}}"}) {
    Fail("/manifests/", 1000, [body](const FakeRequest&, FakeResponse& r) {
      r = {.headers = {{"Content-Type", "application/vnd.oci.image.manifest.v1+json"}},
           .body = body};
    });
    ExpectPullFails(absl::StatusCode::kInvalidArgument, {"manifest"});
  }
}

TEST_F(PullFaultTest, ManifestThatIsNotWhatItIsCalledIsDataLoss) {
  Fail("/manifests/", 1000, [](const FakeRequest&, FakeResponse& r) { r.body += " "; });
  ExpectPullFails(absl::StatusCode::kDataLoss, {"digest"});
  Fail("/manifests/", 1000, [](const FakeRequest&, FakeResponse& r) {
    r.headers = {{"Docker-Content-Digest", "sha256:../../x"}};
  });
  ExpectPullFails(absl::StatusCode::kDataLoss, {"Docker-Content-Digest"});
  const std::string by_digest = Name("/app@") + image_.digest().text();
  Fail("/manifests/", 1000, [](const FakeRequest&, FakeResponse& r) { r = {.body = "{}"}; });
  ExpectFailure(Pull(by_digest), absl::StatusCode::kDataLoss, {image_.digest().text()});
}

TEST_F(PullFaultTest, WrongConfigIsDataLoss) {
  Fail("/blobs/sha256:" + image_.id(), 1000,
       [](const FakeRequest&, FakeResponse& r) { r.body[5] ^= 1; });
  ExpectPullFails(absl::StatusCode::kDataLoss, {"config"});
}

TEST_F(PullFaultTest, OtherPlatformIsFailedPrecondition) {
  registry_.Add("other", "1", MakeImage({Tar({{"a", "1"}})}, "pdp11"));
  ExpectFailure(Pull(Name("/other:1")), absl::StatusCode::kFailedPrecondition, {"linux/pdp11"});
  registry_.AddManifest(
      "other", "index", "application/vnd.oci.image.index.v1+json",
      fmt::format(R"({{"manifests": [{{"mediaType": "x", "digest": "{}", "size": 1,
                      "platform": {{"os": "linux", "architecture": "pdp11"}}}}]}})",
                  image_.digest().text()));
  ExpectFailure(Pull(Name("/other:index")), absl::StatusCode::kFailedPrecondition, {"linux/pdp11"});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullFaultTest, IndexThatLeadsToItselfEnds) {
  // An index cannot hold its own digest; a registry that lies about tags can pretend.
  std::string inner = "{\"manifests\": []}";
  for (int i = 0; i < 8; ++i) {
    const std::string digest = Digest::Sha256Of(inner).text();
    registry_.AddManifest("deep", digest, "application/vnd.oci.image.index.v1+json", inner);
    inner = fmt::format(
        R"({{"manifests": [{{"mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": "{}", "size": 1}}]}})",
        digest);
  }
  registry_.AddManifest("deep", "1", "application/vnd.oci.image.index.v1+json", inner);
  ExpectFailure(Pull(Name("/deep:1")), absl::StatusCode::kInvalidArgument, {"nested"});
}

TEST_F(PullFaultTest, DiffIdThatDoesNotFitIsDataLoss) {
  FakeImage image = MakeImage({Tar({{"a", "1"}})});
  image.layers[0].bytes = Gzip(Tar({{"a", "2"}}));
  UpdateManifest(image);
  registry_.Add("lies", "1", image);
  ExpectFailure(Pull(Name("/lies:1")), absl::StatusCode::kDataLoss, {"diff ID"});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullFaultTest, LayerCountsThatDifferAreInvalid) {
  FakeImage image = MakeImage({Tar({{"a", "1"}}), Tar({{"b", "1"}})});
  image.layers.pop_back();
  UpdateManifest(image);
  registry_.Add("short", "1", image);
  ExpectFailure(Pull(Name("/short:1")), absl::StatusCode::kInvalidArgument, {"lists 2 layers"});
  ExpectNothingLeft();
}

TEST_F(PullFaultTest, SoundBlobWithABrokenStreamIsAnError) {
  const std::string tar = Tar({{"a", Noise(100000, 1)}});
  FakeImage image = MakeImage({tar});
  image.layers[0].bytes = Gzip(tar).substr(0, 50000);  // cut by its author, so the digest fits
  UpdateManifest(image);
  registry_.Add("cut", "1", image);
  ExpectFailure(Pull(Name("/cut:1")), absl::StatusCode::kDataLoss, {"ends too early"});
  image.layers[0].bytes = Gzip(tar) + "garbage after it";
  UpdateManifest(image);
  registry_.Add("tail", "1", image);
  ExpectFailure(Pull(Name("/tail:1")), absl::StatusCode::kInvalidArgument, {"gzip"});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullFaultTest, StallEndsAfterTheProgressTimeout) {
  config_.progress_timeout = std::chrono::milliseconds(300);
  MakePuller();
  for (const std::string& part : {std::string("/manifests/"), Blob()}) {
    Fail(part, 1000, [](const FakeRequest&, FakeResponse& r) { r.stall_after = 0; });
    const auto start = Clock::now();
    ExpectPullFails(absl::StatusCode::kDeadlineExceeded, {"no byte"});
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
  }
}

TEST_F(PullFaultTest, StallHalfwayIsResumed) {
  config_.progress_timeout = std::chrono::milliseconds(300);
  MakePuller();
  Fail(Blob(), 1, [](const FakeRequest&, FakeResponse& r) { r.stall_after = 700'000; });
  const auto result = Pull(Name("/app:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LayerFile(Digest::Sha256Of(big_), "big"), Noise(1'500'000, 9));
}

TEST_F(PullFaultTest, CancelEndsAStalledPullAtOnce) {
  config_.progress_timeout = std::chrono::minutes(10);
  MakePuller();
  Fail(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) { r.stall_after = 1000; });
  Context ctx;
  absl::StatusOr<PullResult> result = absl::UnknownError("");
  std::thread pull([&] { result = puller_->Pull(ctx, {.name = Name("/app:1")}, nullptr); });
  const auto limit = Clock::now() + std::chrono::seconds(10);
  while (LayerDirectories().empty() && Clock::now() < limit) {
    std::this_thread::yield();
  }
  const auto start = Clock::now();
  ctx.Cancel();
  pull.join();
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2));
  ExpectFailure(result, absl::StatusCode::kCancelled, {"fetch layers of"});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullFaultTest, OneCallersDeadlineDoesNotEndAnothersPull) {
  Fail(Blob(), 1, [](const FakeRequest&, FakeResponse& r) { r.stall_after = 1000; });
  config_.progress_timeout = std::chrono::milliseconds(1500);  // then it resumes and succeeds
  MakePuller();
  absl::StatusOr<PullResult> patient = absl::UnknownError("");
  std::thread other([&] { patient = Pull(Name("/app:1")); });
  Context hasty(std::chrono::milliseconds(200));
  const auto result = puller_->Pull(hasty, {.name = Name("/app:1")}, nullptr);
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  other.join();
  EXPECT_TRUE(patient.ok()) << patient.status();
}

TEST_F(PullFaultTest, FailureOfTheFirstPullerOfALayerDoesNotFailTheSecond) {
  const std::string shared = Tar({{"shared", Noise(600'000, 2)}});
  const FakeImage one = MakeImage({shared, Tar({{"1", "1"}})});
  const FakeImage two = MakeImage({shared, Tar({{"2", "2"}})});
  registry_.Add("one", "1", one);
  registry_.Add("two", "1", two);
  config_.progress_timeout = std::chrono::milliseconds(1000);
  MakePuller();
  Fail("/one/blobs/" + one.layer(0).text(), 1000,
       [](const FakeRequest&, FakeResponse& r) { r.stall_after = 0; });
  absl::StatusOr<PullResult> first = absl::UnknownError("");
  std::thread thread([&] { first = Pull(Name("/one:1")); });
  const auto limit = Clock::now() + std::chrono::seconds(10);
  while (LayerDirectories().empty() && Clock::now() < limit) {
    std::this_thread::yield();
  }
  const auto second = Pull(Name("/two:1"));
  thread.join();
  EXPECT_FALSE(first.ok());
  EXPECT_TRUE(second.ok()) << second.status();
}

TEST_F(PullFaultTest, EndOfThePullerEndsItsPulls) {
  config_.progress_timeout = std::chrono::minutes(10);
  MakePuller();
  Fail(Blob(), 1000, [](const FakeRequest&, FakeResponse& r) { r.stall_after = 1000; });
  Context ctx(std::chrono::milliseconds(300));
  EXPECT_FALSE(puller_->Pull(ctx, {.name = Name("/app:1")}, nullptr).ok());
  puller_.reset();
  ExpectNothingLeft();
}

TEST_F(PullFaultTest, RedirectsThatGoRoundEnd) {
  Fail(Blob(), 1000, [](const FakeRequest& request, FakeResponse& r) {
    r = {.status = 302, .headers = {{"Location", request.target}}};
  });
  ExpectPullFails(absl::StatusCode::kUnknown, {"redirects more than"});
  for (const char* location : {"", "file:///etc/passwd", "ftp://x/y", "http://u:p@127.0.0.1/"}) {
    Fail(Blob(), 1000, [location](const FakeRequest&, FakeResponse& r) {
      r = {.status = 302, .headers = {{"Location", location}}};
    });
    ExpectPullFails(absl::StatusCode::kUnknown, {"redirects"});
  }
}

TEST_F(PullFaultTest, SignedUrlOfARedirectIsNotShown) {
  std::string dead;
  {
    const FakeRegistry gone;
    dead = gone.host();
  }
  Fail(Blob(), 1000, [dead](const FakeRequest&, FakeResponse& r) {
    r = {.status = 302, .headers = {{"Location", "http://" + dead + "/x?signature=s3cret"}}};
  });
  const auto result = Pull(Name("/app:1"));
  ExpectFailure(result, absl::StatusCode::kUnavailable, {dead});
  EXPECT_EQ(result.status().ToString().find("s3cret"), std::string::npos);
}

TEST_F(PullFaultTest, HugeHeadersAreCutOff) {
  Fail("/manifests/", 1000, [](const FakeRequest&, FakeResponse& r) {
    for (int i = 0; i < 100; ++i) {
      r.headers.emplace_back("X-Junk-" + std::to_string(i), std::string(2000, 'x'));
    }
  });
  ExpectPullFails(absl::StatusCode::kResourceExhausted, {"headers"});
}

}  // namespace
}  // namespace davit::image
