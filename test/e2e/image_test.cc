// SPDX-License-Identifier: Apache-2.0
//
// Images from a real registry: what is pulled, what is said of it, and registries that fail.

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

constexpr size_t kIdHexDigits = 64;

class ImageTest : public E2eTest {
 protected:
  absl::StatusOr<v1::PullImageResponse> TryPull(const std::string& image,
                                                const v1::AuthConfig& auth = {}) {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(image);
    *request.mutable_auth() = auth;
    return client().PullImage(request);
  }
  v1::ImageStatusResponse ImageOf(const std::string& name) {
    v1::ImageStatusRequest request;
    request.mutable_image()->set_image(name);
    return Must(client().ImageStatus(request));
  }
  std::vector<v1::Image> Images(const std::string& name = "") {
    v1::ListImagesRequest request;
    request.mutable_filter()->mutable_image()->set_image(name);
    const auto response = Must(client().ListImages(request));
    return {response.images().begin(), response.images().end()};
  }
  absl::Status Remove(const std::string& name) {
    v1::RemoveImageRequest request;
    request.mutable_image()->set_image(name);
    return client().RemoveImage(request).status();
  }
  std::vector<std::string> Layers() {
    return ListDir(daemon().root() + "/layers").value_or(std::vector<std::string>());
  }
};

TEST_F(ImageTest, PulledListedNamedAndRemoved) {
  const std::string name = registry().Image("web");
  EXPECT_FALSE(ImageOf(name).has_image());
  const std::string id = Must(TryPull(name)).image_ref();
  const auto image = ImageOf(name).image();
  EXPECT_EQ(image.id(), id);
  ASSERT_EQ(image.repo_tags_size(), 1);
  EXPECT_EQ(image.repo_tags(0), name);
  ASSERT_EQ(image.repo_digests_size(), 1);
  const std::string by_digest = "127.0.0.1:5000/web@" + registry().DigestOf(name).text();
  EXPECT_EQ(image.repo_digests(0), by_digest);
  EXPECT_GT(image.size(), 100'000U);
  EXPECT_EQ(ImageOf(by_digest).image().id(), id);
  EXPECT_EQ(ImageOf(id).image().id(), id);
  EXPECT_EQ(ImageOf(id.substr(0, 12)).image().id(), id);
  EXPECT_FALSE(ImageOf("127.0.0.1:5000/web:other").has_image());
  ASSERT_EQ(Images().size(), 1U);
  EXPECT_EQ(Images(name).size(), 1U);
  EXPECT_TRUE(Images("127.0.0.1:5000/none:latest").empty());
  v1::ImageStatusRequest verbose;
  verbose.mutable_image()->set_image(name);
  verbose.set_verbose(true);
  EXPECT_NE(Must(client().ImageStatus(verbose)).info().at("info").find("httpd"), std::string::npos);
  EXPECT_TRUE(Remove(name).ok());
  EXPECT_TRUE(Remove(name).ok()) << "removing what is gone succeeds";
  EXPECT_TRUE(Images().empty() || Images()[0].repo_tags().empty());
  EXPECT_TRUE(Remove(id).ok());
  EXPECT_TRUE(Images().empty());
  EXPECT_TRUE(Eventually([&] { return Layers().empty(); })) << "layers that nobody uses go";
}

TEST_F(ImageTest, TwoTagsAreOneImageAndShareLayers) {
  const std::string first = registry().Image("busybox");
  const std::string second = registry().ImageAs("busybox", "team/copy", "v2");
  EXPECT_EQ(Must(TryPull(first)).image_ref(), Must(TryPull(second)).image_ref());
  ASSERT_EQ(Images().size(), 1U);
  EXPECT_EQ(Images()[0].repo_tags_size(), 2);
  const size_t layers = Layers().size();
  Must(TryPull(registry().Image("web")));
  EXPECT_EQ(Layers().size(), layers + 1);
  EXPECT_TRUE(Remove(first).ok());
  EXPECT_FALSE(ImageOf(first).has_image());
  EXPECT_TRUE(ImageOf(second).has_image());
}

TEST_F(ImageTest, ByDigest) {
  const std::string name = registry().Image("busybox");
  const std::string by_digest = "127.0.0.1:5000/busybox@" + registry().DigestOf(name).text();
  Must(TryPull(by_digest));
  EXPECT_TRUE(ImageOf(by_digest).has_image());
  EXPECT_FALSE(ImageOf(name).has_image());
  EXPECT_EQ(Images()[0].repo_tags_size(), 0);
}

TEST_F(ImageTest, LayersAreAppliedAsTheyStandUponEachOther) {
  Pull("multi");
  Pull("zstd");
  const Pod pod = RunPod("pod");
  const std::string id = Run(pod, Container("look", {"sleep", "1000"}, "multi"));
  EXPECT_EQ(ShellIn(id, "ls /data"), "absolute\nchanged\nhidden\nkept\none\nowned\ntwo\n");
  EXPECT_EQ(ShellIn(id, "cat /data/kept /data/changed /data/absolute /data/two"),
            "kept\nafter\nkept\nlinked\n");
  EXPECT_EQ(ShellIn(id, "ls -a /data/hidden"), ".\n..\nnew\n");
  EXPECT_EQ(ShellIn(id, "stat -c '%u %g %a' /data/owned"), "1000 2000 640\n");
  EXPECT_EQ(ShellIn(id, "stat -c %h /data/one"), "2\n");
  EXPECT_EQ(ShellIn(id, "stat -c %a /tmp"), "1777\n");
  const std::string zstd = Run(pod, Container("zstd", {"echo", "unpacked"}, "zstd"));
  EXPECT_EQ(AwaitExit(zstd).exit_code(), 0);
}

TEST_F(ImageTest, AContainerWritesToItsOwnLayer) {
  Pull("busybox");
  const Pod pod = RunPod("pod");
  const std::string first = Run(pod, ShellContainer("first", "exec sleep 1000"));
  const std::string second = Run(pod, ShellContainer("second", "exec sleep 1000"));
  ShellIn(first, "echo mine > /etc/passwd; rm /etc/group");
  EXPECT_NE(ShellIn(second, "cat /etc/passwd").find("root:x:0:0"), std::string::npos);
  EXPECT_NE(ShellIn(second, "cat /etc/group").find("root"), std::string::npos);
}

TEST_F(ImageTest, InUseIsNotRemoved) {
  const std::string name = Pull("busybox");
  const Pod pod = RunPod("pod");
  const std::string id = Create(pod, ShellContainer("user", "true"));
  const absl::Status by_id = Remove(ImageOf(name).image().id());
  ExpectError(by_id, Code::kFailedPrecondition, "use");
  EXPECT_FALSE(Images().empty());
  RemoveContainer(id);
  EXPECT_TRUE(Remove(ImageOf(name).image().id()).ok());
  EXPECT_TRUE(Images().empty());
}

TEST_F(ImageTest, FileSystemIsMeasured) {
  const auto before = Must(client().ImageFsInfo());
  Pull("busybox");
  const auto after = Must(client().ImageFsInfo());
  ASSERT_EQ(after.image_filesystems_size(), 1);
  const auto& images = after.image_filesystems(0);
  EXPECT_TRUE(images.fs_id().mountpoint().starts_with(daemon().root()) ||
              daemon().root().starts_with(images.fs_id().mountpoint()))
      << images.fs_id().mountpoint();
  EXPECT_GT(images.used_bytes().value(), before.image_filesystems(0).used_bytes().value());
  EXPECT_GT(images.inodes_used().value(), before.image_filesystems(0).inodes_used().value());
  EXPECT_GT(images.timestamp(), 0);
  EXPECT_EQ(after.container_filesystems_size(), 1);
}

TEST_F(ImageTest, PullsAtOnceAreOne) {
  const std::string name = registry().Image("big");
  std::array<absl::StatusOr<v1::PullImageResponse>, 4> results;
  std::vector<std::thread> callers;
  for (auto& result : results) {
    callers.emplace_back([&] { result = TryPull(name); });
  }
  for (auto& caller : callers) {
    caller.join();
  }
  for (const auto& result : results) {
    EXPECT_EQ(Must(result).image_ref(), Must(results[0]).image_ref());
  }
  EXPECT_EQ(Layers().size(), 2U);
}

TEST_F(ImageTest, ImagesOutliveTheDaemonAndThePullThatWasCutShortLeavesNothing) {
  const std::string kept = Pull("busybox");
  const std::string big = registry().Image("big");
  std::thread pull([&] { (void)TryPull(big); });
  // Somewhere in the middle, wherever that is.
  EXPECT_TRUE(Eventually([&] { return Layers().size() > 1; }));
  daemon().Kill();
  pull.join();
  StartDaemon({.drop_in = {}, .failpoints = {}});
  EXPECT_TRUE(ImageOf(kept).has_image());
  if (!ImageOf(big).has_image()) {
    EXPECT_TRUE(Eventually([&] { return Layers().size() == 1; })) << "half a layer stays";
  }
  Must(TryPull(big));
  EXPECT_EQ(Images().size(), 2U);
}

TEST_F(ImageTest, NamesThatAreNone) {
  for (const char* name : {"", "UPPER", "a b", "127.0.0.1:5000/x:", "x@sha256:12", "../x",
                           "127.0.0.1:5000/x@md5:d41d8cd98f00b204e9800998ecf8427e"}) {
    EXPECT_EQ(TryPull(name).status().code(), Code::kInvalidArgument)
        << name << ": " << TryPull(name).status();
  }
  EXPECT_TRUE(Images().empty());
}

TEST_F(ImageTest, NotInTheRegistry) {
  registry().Image("busybox");
  ExpectError(TryPull("127.0.0.1:5000/no/such/image:latest").status(), Code::kNotFound,
              "127.0.0.1:5000/no/such/image:latest");
  ExpectError(TryPull("127.0.0.1:5000/busybox:no-such-tag").status(), Code::kNotFound,
              "no-such-tag");
  EXPECT_EQ(
      TryPull("127.0.0.1:5000/busybox@sha256:" + std::string(kIdHexDigits, '0')).status().code(),
      Code::kNotFound);
  EXPECT_TRUE(Images().empty());
}

TEST_F(ImageTest, AnotherPlatformOnly) {
  ExpectError(TryPull(registry().Image("other-arch")).status(), Code::kFailedPrecondition, "s390x");
  EXPECT_TRUE(Images().empty());
  EXPECT_TRUE(Layers().empty());
}

// The registries of these tests are spoiled, so each is its own.
class SpoiledRegistry : public ImageTest {
 protected:
  void SetUp() override {
    ImageTest::SetUp();
    if (!IsSkipped()) {
      own_ = std::make_unique<TestRegistry>(TestRegistry::Options{
          .port = NextPort(), .user = {}, .password_hash = {}, .password = {}});
    }
  }
  void TearDown() override {
    own_.reset();
    ImageTest::TearDown();
  }
  static int NextPort() {
    static int port = 5100;
    return ++port;
  }
  void ExpectNothingHalfMade() {
    EXPECT_TRUE(Images().empty());
    EXPECT_TRUE(Eventually([&] { return Layers().empty(); })) << "a layer of a failed pull stays";
  }

  std::unique_ptr<TestRegistry> own_;
};

TEST_F(SpoiledRegistry, Down) {
  const std::string name = own_->Image("busybox");
  own_->Stop();
  ExpectError(TryPull(name).status(), Code::kUnknown, "RegistryUnavailable");
  ExpectNothingHalfMade();
  own_->Start();
  Must(TryPull(name));
}

TEST_F(SpoiledRegistry, WrongBytesInALayer) {
  const std::string name = own_->Image("web");
  const std::string file = own_->BlobFile(own_->TopLayer("web"));
  const std::string good = Must(ReadFile(file));
  std::string bad = good;
  bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
  Must(WriteFileAtomic(file, bad, 0644));
  EXPECT_EQ(TryPull(name).status().code(), Code::kDataLoss) << TryPull(name).status();
  ExpectNothingHalfMade();
  Must(WriteFileAtomic(file, good, 0644));
  Must(TryPull(name));
}

TEST_F(SpoiledRegistry, TruncatedLayer) {
  const std::string name = own_->Image("web");
  const std::string file = own_->BlobFile(own_->TopLayer("web"));
  const std::string good = Must(ReadFile(file));
  Must(WriteFileAtomic(file, good.substr(0, good.size() / 2), 0644));
  const absl::Status status = TryPull(name).status();
  EXPECT_TRUE(status.code() == Code::kDataLoss || status.code() == Code::kUnknown) << status;
  ExpectNothingHalfMade();
}

TEST_F(SpoiledRegistry, LayerThatIsGone) {
  const std::string name = own_->Image("web");
  Must(RemoveFile(own_->BlobFile(own_->TopLayer("web"))));
  const absl::Status status = TryPull(name).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find(own_->TopLayer("web").hex().substr(0, 12)),
            std::string::npos)
      << status;
  ExpectNothingHalfMade();
}

TEST_F(SpoiledRegistry, ManifestThatIsNotJson) {
  const std::string name = own_->Image("web");
  Must(WriteFileAtomic(own_->BlobFile(own_->DigestOf(name)), "{ this is not", 0644));
  EXPECT_FALSE(TryPull(name).ok());
  ExpectNothingHalfMade();
}

TEST_F(ImageTest, Credentials) {
  // bcrypt of "secret"
  TestRegistry guarded(
      {.port = 5999,
       .user = "captain",
       .password_hash = "$2b$04$E11J3jjsTwTJmobVqJ/SNOIw82pRtghlk8rEnclCYmOIzbcv/kfye",
       .password = "secret",
       .tls = false});
  const std::string name = guarded.Image("busybox");
  ExpectError(TryPull(name).status(), Code::kUnauthenticated, "127.0.0.1:5999");
  v1::AuthConfig wrong;
  wrong.set_username("captain");
  wrong.set_password("hunter2");
  const absl::Status refused = TryPull(name, wrong).status();
  EXPECT_EQ(refused.code(), Code::kUnauthenticated) << refused;
  EXPECT_EQ(std::string(refused.message()).find("hunter2"), std::string::npos);
  EXPECT_TRUE(Images().empty());
  v1::AuthConfig right;
  right.set_username("captain");
  right.set_password("secret");
  Must(TryPull(name, right));
  EXPECT_EQ(daemon().Log().find("secret"), std::string::npos);
  EXPECT_EQ(daemon().Log().find("hunter2"), std::string::npos);
}

// The root of the daemon is a file system of its own, too small for the image.
class FullDisk : public ImageTest {
 protected:
  bool StartsDaemon() override { return false; }
  void SetUp() override {
    ImageTest::SetUp();
    if (!IsSkipped()) {
      Must(MakeDirs(daemon().root()));
      ASSERT_EQ(mount("small", daemon().root().c_str(), "tmpfs", 0, "size=24m"), 0);
      TakeBaseline();
      StartDaemon({.drop_in = {}, .failpoints = {}});
    }
  }
  void TearDown() override {
    ImageTest::TearDown();
    if (!IsSkipped()) {
      EXPECT_EQ(umount(daemon().root().c_str()), 0);
    }
  }
};

TEST_F(FullDisk, IsSaidAndLeavesRoomForWhatFits) {
  ExpectError(TryPull(registry().Image("big")).status(), Code::kResourceExhausted, "space");
  EXPECT_TRUE(Images().empty());
  EXPECT_TRUE(Eventually([&] { return Layers().empty(); })) << "half a layer stays";
  Pull("busybox");
  const Pod pod = RunPod("pod");
  const std::string id = Run(
      pod, ShellContainer("fill",
                          "dd if=/dev/zero of=/full bs=1M count=64; echo filled; exec sleep 1000"));
  AwaitLog(LogPath(pod, "fill"), "filled");
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  const auto refused = client().CreateContainer(CreateRequest(pod, ShellContainer("late", "true")));
  if (!refused.ok()) {
    EXPECT_EQ(refused.status().code(), Code::kResourceExhausted) << refused.status();
  }
  RemovePod(pod.id);
  EXPECT_EQ(PodStatus(RunPod("after").id).state(), v1::SANDBOX_READY);
}

class Mirrors : public ImageTest {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in =
                "image:\n"
                "  mirrors:\n"
                "    - prefix: docker.io/library\n"
                "      endpoints: [\"http://127.0.0.1:5000/mirrored\"]\n"
                "    - prefix: registry.example\n"
                "      endpoints: [\"127.0.0.1:9\", \"127.0.0.1:5000\"]\n",
            .failpoints = {}};
  }
};

TEST_F(Mirrors, AnswerForARegistry) {
  registry().ImageAs("busybox", "mirrored/library/busybox", "latest");
  registry().Image("busybox");
  Must(TryPull("busybox"));
  EXPECT_EQ(ImageOf("busybox").image().repo_tags(0), "docker.io/library/busybox:latest");
  EXPECT_TRUE(ImageOf("docker.io/library/busybox").has_image());
  Must(TryPull("registry.example/busybox:latest"));
  EXPECT_TRUE(ImageOf("registry.example/busybox:latest").has_image());
}

}  // namespace
}  // namespace davit::e2e
