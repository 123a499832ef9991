// SPDX-License-Identifier: Apache-2.0
//
// Pulls that work: what is stored under which names, what is asked of the registry, what is shared.
#include <atomic>
#include <map>
#include <thread>

#include "absl/synchronization/mutex.h"
#include <fmt/format.h>

#include "base/trace.h"
#include "image/platform.h"
#include "image/pull_fixture.h"

namespace davit::image {
namespace {

using Strings = std::vector<std::string>;

class PullTest : public PullFixture {
 protected:
  size_t Count(const Strings& requests, const std::string& part) {
    size_t count = 0;
    for (const std::string& request : requests) {
      count += request.find(part) != std::string::npos ? 1 : 0;
    }
    return count;
  }
};

TEST_F(PullTest, StoresLayersConfigAndNames) {
  const std::string lower = Tar({{"a", "one"}, {"b", "two"}});
  const std::string upper = Tar({{"c", Noise(300000, 3)}});
  const FakeImage image = MakeImage({lower, upper});
  registry_.Add("team/app", "1.0", image);

  const auto result = Pull(Name("/team/app:1.0"));
  ASSERT_TRUE(result.ok()) << result.status();
  const std::string by_digest = Name("/team/app@") + image.digest().text();
  EXPECT_EQ(result->image_id, image.id());
  EXPECT_EQ(result->reference, by_digest);
  EXPECT_FALSE(result->already_present);

  const auto record = *storage_->FindImage(Name("/team/app:1.0"));
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ((*record)->id, image.id());
  EXPECT_EQ((*record)->tags, Strings{Name("/team/app:1.0")});
  EXPECT_EQ((*record)->digests, Strings{by_digest});
  EXPECT_EQ((*record)->config_json, image.config);
  EXPECT_EQ((*record)->manifest_json, image.manifest);
  EXPECT_EQ((*record)->layers,
            (std::vector<Digest>{Digest::Sha256Of(lower), Digest::Sha256Of(upper)}));
  EXPECT_GT((*record)->size, 300000U);
  EXPECT_GT((*record)->pulled_at_ns, 0);
  EXPECT_EQ(LayerFile(Digest::Sha256Of(lower), "b"), "two");
  EXPECT_EQ(LayerFile(Digest::Sha256Of(upper), "c"), Noise(300000, 3));
}

TEST_F(PullTest, TagThatIsHereCostsOneRequest) {
  registry_.Add("app", "1", MakeImage({Tar({{"a", "1"}})}));
  ASSERT_TRUE(Pull(Name("/app:1")).ok());
  registry_.TakeRequests();
  const auto again = Pull(Name("/app:1"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->already_present);
  EXPECT_EQ(registry_.TakeRequests(), Strings{"HEAD /v2/app/manifests/1"});
}

TEST_F(PullTest, DigestThatIsHereCostsNoRequest) {
  const FakeImage image = MakeImage({Tar({{"a", "1"}})});
  registry_.Add("app", "1", image);
  const std::string name = Name("/app@") + image.digest().text();
  const auto first = Pull(Name("/app:ignored@") + image.digest().text());
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->reference, name);
  registry_.TakeRequests();
  const auto again = Pull(name);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->already_present);
  EXPECT_EQ(registry_.TakeRequests(), Strings{});
  const auto record = **storage_->FindImage(name);
  EXPECT_EQ(record->tags, Strings{}) << "the tag beside a digest is not recorded";
  EXPECT_EQ(record->digests, Strings{name});
}

TEST_F(PullTest, MovedTagIsPulledAnew) {
  const FakeImage old_image = MakeImage({Tar({{"a", "old"}})});
  const FakeImage new_image = MakeImage({Tar({{"a", "new"}})});
  registry_.Add("app", "latest", old_image);
  ASSERT_TRUE(Pull(Name("/app")).ok());
  registry_.Add("app", "latest", new_image);
  const auto result = Pull(Name("/app"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->image_id, new_image.id());
  EXPECT_EQ((**storage_->FindImage(Name("/app:latest")))->id, new_image.id());
  EXPECT_EQ((**storage_->FindImage(old_image.id()))->tags, Strings{});
}

TEST_F(PullTest, SecondNameOfAnImageFetchesNoBlob) {
  const FakeImage image = MakeImage({Tar({{"a", "1"}})});
  registry_.Add("app", "1", image);
  registry_.Add("copy", "2", image);
  ASSERT_TRUE(Pull(Name("/app:1")).ok());
  registry_.TakeRequests();
  const auto result = Pull(Name("/copy:2"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->already_present);
  EXPECT_EQ(Count(registry_.TakeRequests(), "/blobs/"), 0U);
  EXPECT_EQ((**storage_->FindImage(image.id()))->tags, (Strings{Name("/app:1"), Name("/copy:2")}));
}

TEST_F(PullTest, BlobThatIsHereIsNotFetchedToBeSomethingElse) {
  const FakeImage image = MakeImage({Tar({{"a", "1"}})});
  registry_.Add("app", "1", image);
  ASSERT_TRUE(Pull(Name("/app:1")).ok());
  FakeImage liar = MakeImage({Tar({{"b", "1"}})});
  liar.layers = image.layers;
  UpdateManifest(liar);
  registry_.Add("liar", "1", liar);
  registry_.TakeRequests();
  ExpectFailure(Pull(Name("/liar:1")), absl::StatusCode::kDataLoss, {"diff ID"});
  EXPECT_EQ(Count(registry_.TakeRequests(), image.layer(0).text()), 0U);
}

TEST_F(PullTest, LayersMayHaveSha512Digests) {
  FakeImage image = MakeImage({Tar({{"a", "1"}})});
  Hasher hasher("sha512");
  const std::string& bytes = image.layers[0].bytes;
  hasher.Update({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  const Digest digest = hasher.Finish();
  const std::string sha256 = image.layer(0).text();
  image.manifest.replace(image.manifest.find(sha256), sha256.size(), digest.text());
  registry_.Add("app", "1", image);
  registry_.AddBlob(digest, bytes);
  const auto result = Pull(Name("/app:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(storage_->FindLayerByBlob(digest));
  registry_.AddBlob(digest, bytes + "x");
  ASSERT_TRUE(storage_->RemoveImage(image.id()).ok());
  EXPECT_FALSE(Pull(Name("/app:1")).ok());
}

TEST_F(PullTest, RunningPullsAreToldOf) {
  EXPECT_TRUE(puller_->Running().empty());
  const FakeImage image = MakeImage({Tar({{"a", Noise(600'000, 1)}}), Tar({{"b", "1"}})});
  registry_.Add("app", "1", image);
  registry_.Inject("/blobs/" + image.layer(0).text(), 1,
                   [](const FakeRequest&, FakeResponse& r) { r.stall_after = 300'000; });
  Context ctx;
  absl::StatusOr<PullResult> result = absl::UnknownError("");
  std::thread pull([&] { result = puller_->Pull(ctx, {.name = Name("/app:1")}, nullptr); });
  std::vector<RunningPull> running;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < limit) {
    running = puller_->Running();
    if (!running.empty() && running[0].layers.size() == 2 && running[0].layers[0].done_bytes > 0) {
      break;
    }
    std::this_thread::yield();
  }
  ASSERT_EQ(running.size(), 1U);
  EXPECT_EQ(running[0].name, Name("/app:1"));
  EXPECT_EQ(running[0].waiters, 1);
  EXPECT_EQ(running[0].trace.size(), 32U);
  EXPECT_NE(running[0].stage.find("fetch layers"), std::string::npos) << running[0].stage;
  EXPECT_EQ(running[0].layers[0].total_bytes, image.layers[0].bytes.size());
  ctx.Cancel();
  pull.join();
  EXPECT_FALSE(result.ok());
}

TEST_F(PullTest, StagesAreSpansOfTheCallersTrace) {
  registry_.Add("app", "1", MakeImage({Tar({{"a", "1"}}), Tar({{"b", "1"}})}));
  Context ctx;
  const auto parent =
      trace::ParseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  ctx.SetSpan(*parent);
  const auto result = puller_->Pull(ctx, {.name = Name("/app:1")}, nullptr);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->trace, "0af7651916cd43dd8448eb211c80319c");
  std::map<std::string, int> names;
  for (const trace::Record& span : trace::Find(parent->trace_id)) {
    ++names[span.name];
    EXPECT_LE(span.start_ns, span.end_ns);
  }
  EXPECT_EQ(names, (std::map<std::string, int>{{"pull", 1},
                                               {"manifest", 1},
                                               {"policy", 1},
                                               {"config", 1},
                                               {"layers", 1},
                                               {"layer", 2},
                                               {"fetch", 2},
                                               {"decompress", 2},
                                               {"apply", 2},
                                               {"commit", 1}}));
}

TEST_F(PullTest, LayersOfOtherImagesAreNotFetched) {
  const std::string base = Tar({{"base", "1"}});
  registry_.Add("a", "1", MakeImage({base, Tar({{"a", "1"}})}));
  const FakeImage second = MakeImage({base, Tar({{"b", "1"}})});
  registry_.Add("b", "1", second);
  ASSERT_TRUE(Pull(Name("/a:1")).ok());
  registry_.TakeRequests();
  ASSERT_TRUE(Pull(Name("/b:1")).ok());
  const Strings requests = registry_.TakeRequests();
  EXPECT_EQ(Count(requests, second.layer(0).text()), 0U);
  EXPECT_EQ(Count(requests, second.layer(1).text()), 1U);
}

TEST_F(PullTest, ImageThatWasRemovedIsPulledAnew) {
  const FakeImage image = MakeImage({Tar({{"a", "1"}})});
  registry_.Add("app", "1", image);
  for (int i = 0; i < 3; ++i) {
    const auto result = Pull(Name("/app:1"));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->already_present);
    ASSERT_TRUE(storage_->RemoveImage(image.id()).ok());
    ExpectNothingLeft();
  }
}

TEST_F(PullTest, SameLayerTwiceInAnImage) {
  const std::string empty = Tar({});
  const FakeImage image = MakeImage({Tar({{"a", "1"}}), empty, Tar({{"b", "1"}}), empty});
  registry_.Add("app", "1", image);
  const auto result = Pull(Name("/app:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((**storage_->FindImage(image.id()))->layers.size(), 4U);
  EXPECT_EQ(Count(registry_.TakeRequests(), image.layer(1).text()), 1U);
}

TEST_F(PullTest, IndexLeadsToThisPlatform) {
  const FakeImage image = MakeImage({Tar({{"a", "1"}})});
  registry_.Add("app", "by-arch", image);
  const std::string index = fmt::format(
      R"({{"schemaVersion": 2, "manifests": [
        {{"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": "{}",
          "size": 1, "platform": {{"os": "linux", "architecture": "other"}}}},
        {{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "{}", "size": {},
          "platform": {{"os": "linux", "architecture": "{}"}}}}]}})",
      Digest::Sha256Of("x").text(), image.digest().text(), image.manifest.size(),
      Platform::Host().architecture);
  registry_.AddManifest("app", "multi", "application/vnd.docker.distribution.manifest.list.v2+json",
                        index);
  const auto result = Pull(Name("/app:multi"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->image_id, image.id());
  EXPECT_EQ(result->reference, Name("/app@") + Digest::Sha256Of(index).text());
  EXPECT_EQ((**storage_->FindImage(image.id()))->manifest_json, image.manifest);
}

TEST_F(PullTest, ZstdPlainAndManyMemberLayers) {
  const std::string tars[] = {Tar({{"z", "zstd"}}), Tar({{"p", "plain"}}),
                              Tar({{"m", Noise(50000, 7)}})};
  FakeImage image = MakeImage({tars[0], tars[1], tars[2]});
  image.layers[0] = {"application/vnd.oci.image.layer.v1.tar+zstd", Zstd(tars[0])};
  image.layers[1] = {"application/vnd.oci.image.layer.v1.tar", tars[1]};
  image.layers[2].bytes = Gzip(tars[2].substr(0, 20000)) + Gzip(tars[2].substr(20000));
  UpdateManifest(image);
  registry_.Add("app", "1", image);
  const auto result = Pull(Name("/app:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LayerFile(Digest::Sha256Of(tars[0]), "z"), "zstd");
  EXPECT_EQ(LayerFile(Digest::Sha256Of(tars[1]), "p"), "plain");
  EXPECT_EQ(LayerFile(Digest::Sha256Of(tars[2]), "m"), Noise(50000, 7));
}

TEST_F(PullTest, ProgressEndsWithAllBytes) {
  const FakeImage image = MakeImage({Tar({{"a", Noise(200000, 1)}}), Tar({{"b", "2"}})});
  registry_.Add("app", "1", image);
  Context ctx(std::chrono::seconds(30));
  std::vector<LayerProgress> last;
  const auto result = puller_->Pull(ctx, {.name = Name("/app:1")},
                                    [&last](const std::vector<LayerProgress>& all) { last = all; });
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last[0].blob, image.layer(0));
  EXPECT_EQ(last[0].total_bytes, image.layers[0].bytes.size());
  EXPECT_EQ(last[0].done_bytes, last[0].total_bytes);
  EXPECT_EQ(last[0].state, LayerProgress::State::kDone);
}

TEST_F(PullTest, PinnedByGlob) {
  config_.pinned = {"*/infra/*"};
  MakePuller();
  const FakeImage pinned = MakeImage({Tar({{"a", "1"}})});
  const FakeImage other = MakeImage({Tar({{"a", "2"}})});
  registry_.Add("infra/x", "1", pinned);
  registry_.Add("user/x", "1", other);
  ASSERT_TRUE(Pull(Name("/infra/x:1")).ok());
  ASSERT_TRUE(Pull(Name("/user/x:1")).ok());
  EXPECT_TRUE((**storage_->FindImage(pinned.id()))->pinned);
  EXPECT_FALSE((**storage_->FindImage(other.id()))->pinned);
}

TEST_F(PullTest, IdenticalPullsAreOne) {
  const FakeImage image = MakeImage({Tar({{"a", Noise(400000, 1)}}), Tar({{"b", "2"}})});
  registry_.Add("app", "1", image);
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] { good += Pull(Name("/app:1")).ok() ? 1 : 0; });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(good, 20);
  const Strings requests = registry_.TakeRequests();
  EXPECT_EQ(Count(requests, image.layer(0).text()), 1U);
  EXPECT_EQ(Count(requests, image.layer(1).text()), 1U);
}

TEST_F(PullTest, ConcurrentPullsOfDifferentImagesShareALayer) {
  const std::string base = Tar({{"base", Noise(2'000'000, 5)}});
  std::vector<FakeImage> images;
  for (int i = 0; i < 8; ++i) {
    images.push_back(MakeImage({base, Tar({{"own", std::to_string(i)}})}));
    registry_.Add(fmt::format("app{}", i), "1", images.back());
  }
  std::vector<std::thread> threads;
  absl::Mutex mutex;
  std::vector<absl::Status> failures;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const auto result = Pull(Name(fmt::format("/app{}:1", i)));
      absl::MutexLock lock(&mutex);
      if (!result.ok()) {
        failures.push_back(result.status());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(failures.empty()) << failures.front();
  EXPECT_EQ(Count(registry_.TakeRequests(), images[0].layer(0).text()), 1U);
  EXPECT_EQ(storage_->ListImages().size(), 8U);
}

TEST_F(PullTest, MirrorIsAskedFirstAndTheOriginAfterItFails) {
  FakeRegistry mirror;
  const FakeImage image = MakeImage({Tar({{"a", "1"}})});
  registry_.Add("app", "1", image);
  mirror.Add("cache/app", "1", image);
  config_.mirrors = {{registry_.host(), {mirror.host() + "/cache"}}};
  MakePuller();
  ASSERT_TRUE(Pull(Name("/app:1")).ok());
  EXPECT_EQ(registry_.TakeRequests(), Strings{});
  EXPECT_FALSE(mirror.TakeRequests().empty());
  EXPECT_EQ((**storage_->FindImage(image.id()))->tags, Strings{Name("/app:1")});

  const FakeImage only_here = MakeImage({Tar({{"b", "1"}})});
  registry_.Add("app", "2", only_here);
  const auto result = Pull(Name("/app:2"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->image_id, only_here.id());
}

TEST_F(PullTest, MirrorWithDamagedOrMissingBlobsIsLeftForTheOrigin) {
  FakeRegistry mirror;
  const FakeImage image = MakeImage({Tar({{"a", Noise(100000, 1)}}), Tar({{"b", "1"}})});
  registry_.Add("app", "1", image);
  mirror.Add("app", "1", image);
  mirror.Inject("/blobs/" + image.layer(0).text(), 100,
                [](const FakeRequest&, FakeResponse& r) { r.body[r.body.size() / 2] ^= 1; });
  mirror.Inject("/blobs/" + image.layer(1).text(), 100,
                [](const FakeRequest&, FakeResponse& r) { r = {.status = 404}; });
  config_.mirrors = {{registry_.host(), {mirror.host()}}};
  MakePuller();
  const auto result = Pull(Name("/app:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LayerFile(Digest::Sha256Of(Tar({{"b", "1"}})), "b"), "1");
}

TEST_F(PullTest, CredentialsOfTheRequestDoNotGoToAMirror) {
  FakeRegistry mirror;
  const FakeImage image = MakeImage({Tar({{"a", "1"}})});
  registry_.Add("app", "1", image);
  registry_.RequireBasic("user", "secret");
  mirror.Add("app", "1", image);
  mirror.RequireBasic("user", "secret");
  config_.mirrors = {{registry_.host(), {mirror.host()}}};
  MakePuller();
  ASSERT_TRUE(Pull(Name("/app:1"), {.username = "user", .password = "secret"}).ok());
  EXPECT_EQ(mirror.authorizations(), Strings{});
  EXPECT_FALSE(registry_.authorizations().empty());
}

}  // namespace
}  // namespace davit::image
