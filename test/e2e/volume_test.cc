// SPDX-License-Identifier: Apache-2.0
//
// Images and OCI artifacts mounted as volumes, and the volumes that images declare.

#include <algorithm>
#include <functional>
#include <tuple>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/mount.h"
#include "test/e2e/fixture.h"
#include "test/images/tar_layer.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

constexpr char kSleep[] = "exec sleep 1000000";

class Volume : public E2eTest {
 protected:
  void SetUp() override {
    E2eTest::SetUp();
    if (!IsSkipped() && StartsDaemon()) {
      Pull("busybox");
    }
  }

  // Its image ID: what the kubelet gives as the volume's image.
  std::string PullId(const std::string& image) {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(image);
    return Must(client().PullImage(request)).image_ref();
  }
  v1::ContainerConfig WithVolume(const std::string& name, const std::string& image,
                                 const std::string& sub_path = "") {
    auto config = ShellContainer(name, kSleep);
    auto& mount = *config.add_mounts();
    mount.mutable_image()->set_image(image);
    mount.set_container_path("/volume");
    mount.set_image_sub_path(sub_path);
    mount.set_readonly(true);
    return config;
  }
  absl::Status CreateError(const v1::ContainerConfig& config) {
    return client().CreateContainer(CreateRequest(pod_, config)).status();
  }
  absl::Status RemoveImage(const std::string& image) {
    v1::RemoveImageRequest request;
    request.mutable_image()->set_image(image);
    return client().RemoveImage(request).status();
  }
  // Of images as volumes, on the host.
  size_t VolumeMounts() { return Must(MountsBelow(daemon().run() + "/image-volumes")).size(); }

  Pod pod_;
};

TEST_F(Volume, TwoContainersShareOneMount) {
  const std::string image = PullId(registry().Image("multi"));
  pod_ = RunPod("pod");
  const Pod other = RunPod("other");
  const std::string first = Run(pod_, WithVolume("first", image));
  const std::string second = Run(other, WithVolume("second", image));
  EXPECT_EQ(VolumeMounts(), 1U);
  for (const auto& id : {first, second}) {
    EXPECT_EQ(ShellIn(id, "cat /volume/data/changed; ls /volume/data/hidden"), "after\nnew\n");
    EXPECT_EQ(ShellIn(id, "test -e /volume/data/gone || echo gone"), "gone\n");
    EXPECT_EQ(ShellIn(id, "echo x 2>/dev/null > /volume/x || echo read-only"), "read-only\n");
    EXPECT_EQ(ShellIn(id, "/volume/bin/busybox echo runs"), "runs\n");
    EXPECT_EQ(ShellIn(id, "grep -c '/volume overlay ro,nosuid,nodev,relatime' /proc/mounts"),
              "1\n");
  }
  RemoveContainer(first);
  EXPECT_EQ(ShellIn(second, "cat /volume/data/changed"), "after\n");
  EXPECT_EQ(VolumeMounts(), 1U);
  RemoveContainer(second);
  EXPECT_EQ(VolumeMounts(), 0U);
}

TEST_F(Volume, StatusTellsTheImage) {
  const std::string name = registry().Image("multi");
  const std::string image = PullId(name);
  pod_ = RunPod("pod");
  for (const auto& asked : {image, name}) {
    auto config = WithVolume("c" + std::to_string(asked.size()), asked, "data");
    config.mutable_mounts(0)->mutable_image()->set_user_specified_image(name);
    const auto status = Status(Create(pod_, config));
    ASSERT_EQ(status.mounts_size(), 1);
    EXPECT_EQ(status.mounts(0).container_path(), "/volume");
    EXPECT_EQ(status.mounts(0).image().image(), asked);
    EXPECT_EQ(status.mounts(0).image().image_ref(), image);
    EXPECT_EQ(status.mounts(0).image().user_specified_image(), name);
    EXPECT_EQ(status.mounts(0).image_sub_path(), "data");
    EXPECT_TRUE(status.mounts(0).readonly());
  }
}

TEST_F(Volume, SubPath) {
  const std::string image = PullId(registry().Image("multi"));
  pod_ = RunPod("pod");
  const std::string id = Run(pod_, WithVolume("deep", image, "data/hidden"));
  EXPECT_EQ(ShellIn(id, "ls /volume"), "new\n");
  EXPECT_EQ(ShellIn(id, "echo x 2>/dev/null > /volume/x || echo read-only"), "read-only\n");
  const std::string dot = Run(pod_, WithVolume("dot", image, "./data/./hidden/"));
  EXPECT_EQ(ShellIn(dot, "ls /volume"), "new\n");
  EXPECT_EQ(VolumeMounts(), 1U);
}

TEST_F(Volume, SubPathErrors) {
  const std::string image = PullId(registry().Image("multi"));
  pod_ = RunPod("pod");
  const auto error = [&](const std::string& sub_path, Code code, const std::string& text) {
    const absl::Status status = CreateError(WithVolume("c", image, sub_path));
    ExpectError(status, code, text);
    EXPECT_EQ(std::string(status.message()).rfind("ImageVolumeMountFailed: ", 0), 0U) << status;
  };
  error("no/such", Code::kNotFound, "sub path \"no/such\" does not exist in image volume");
  error("data/changed", Code::kFailedPrecondition, "is not a directory");
  error("data/changed/x", Code::kFailedPrecondition, "is not a directory");
  error("../etc", Code::kInvalidArgument, "must be relative");
  error("data/../..", Code::kInvalidArgument, "must be relative");
  error("/data", Code::kInvalidArgument, "must be relative");
  EXPECT_EQ(VolumeMounts(), 0U);
  EXPECT_TRUE(Containers().empty());
}

// The image's symlinks mean what they mean within the image.
TEST_F(Volume, SubPathThroughSymlinksStaysInTheImage) {
  test::TarLayer dir;
  dir.Dir("inside").File("inside/file", "of the artifact\n").Symlink("absolute", "/inside");
  dir.Symlink("up", "../../../../../../inside").Symlink("host", "/etc").Symlink("loop", "loop");
  dir.Symlink("magic", "/proc/self/root");
  const std::string image = PullId(registry().Artifact(
      "links", {.files = {{.title = "d", .bytes = Must(dir.Finish()), .unpack = true}}}));
  pod_ = RunPod("pod");
  for (const std::string path : {"absolute", "up", "up/../absolute"}) {
    if (path.find("..") != std::string::npos) {
      ExpectError(CreateError(WithVolume("c", image, path)), Code::kInvalidArgument, "relative");
      continue;
    }
    const std::string id = Run(pod_, WithVolume("in-" + path, image, path));
    EXPECT_EQ(ShellIn(id, "cat /volume/file"), "of the artifact\n") << path;
  }
  ExpectError(CreateError(WithVolume("c", image, "host")), Code::kNotFound, "does not exist");
  ExpectError(CreateError(WithVolume("c", image, "magic")), Code::kNotFound, "does not exist");
  EXPECT_FALSE(CreateError(WithVolume("c", image, "loop")).ok());
}

TEST_F(Volume, RequestErrors) {
  const std::string image = PullId(registry().Image("multi"));
  pod_ = RunPod("pod");
  const auto error = [&](const v1::ContainerConfig& config, Code code, const std::string& text) {
    const absl::Status status = CreateError(config);
    ExpectError(status, code, text);
    EXPECT_EQ(std::string(status.message()).rfind("ImageVolumeMountFailed: ", 0), 0U) << status;
  };
  error(WithVolume("c", std::string(64, 'a')), Code::kNotFound, "pull it first");
  error(WithVolume("c", registry().host() + "/not-here:1"), Code::kNotFound, "pull it first");
  auto writable = WithVolume("c", image);
  writable.mutable_mounts(0)->set_readonly(false);
  error(writable, Code::kInvalidArgument, "readonly must be true");
  auto host = WithVolume("c", image);
  host.mutable_mounts(0)->set_host_path("/etc");
  error(host, Code::kInvalidArgument, "host_path must be empty");
  EXPECT_TRUE(Containers().empty());
}

TEST_F(Volume, ImageInUseIsNotRemoved) {
  const std::string name = registry().Image("multi");
  const std::string image = PullId(name);
  pod_ = RunPod("pod");
  const std::string id = Run(pod_, WithVolume("c", image));
  ExpectError(RemoveImage(name), Code::kFailedPrecondition, "uses it as a volume");
  ExpectError(RemoveImage(image), Code::kFailedPrecondition, "uses it as a volume");
  EXPECT_TRUE(StopContainer(id, 0).ok());
  ExpectError(RemoveImage(image), Code::kFailedPrecondition, "uses it as a volume");
  RestartDaemon();
  ExpectError(RemoveImage(image), Code::kFailedPrecondition, "uses it as a volume");
  RemoveContainer(id);
  EXPECT_TRUE(RemoveImage(image).ok());
}

TEST_F(Volume, SurvivesTheDaemon) {
  const std::string image = PullId(registry().Image("multi"));
  pod_ = RunPod("pod");
  const std::string first = Run(pod_, WithVolume("first", image));
  RestartDaemon();
  EXPECT_EQ(ShellIn(first, "cat /volume/data/changed"), "after\n");
  const std::string second = Run(pod_, WithVolume("second", image, "data"));
  EXPECT_EQ(ShellIn(second, "cat /volume/changed"), "after\n");
  EXPECT_EQ(VolumeMounts(), 1U);
  RestartDaemon();
  RemoveContainer(first);
  EXPECT_EQ(VolumeMounts(), 1U);
  RemoveContainer(second);
  EXPECT_EQ(VolumeMounts(), 0U);
}

TEST_F(Volume, SeveralOfOneContainer) {
  const std::string multi = PullId(registry().Image("multi"));
  const std::string web = PullId(registry().Image("web"));
  pod_ = RunPod("pod");
  auto config = WithVolume("c", multi);
  for (const auto& [path, image, sub] :
       {std::tuple{"/again", multi, "data"}, {"/web", web, ""}, {"/volume2/deep", web, "www"}}) {
    auto& mount = *config.add_mounts();
    mount.mutable_image()->set_image(image);
    mount.set_image_sub_path(sub);
    mount.set_container_path(path);
    mount.set_readonly(true);
  }
  const std::string id = Run(pod_, config);
  EXPECT_EQ(ShellIn(id,
                    "cat /again/changed; ls /volume2/deep; cmp /web/www/index.html "
                    "/volume2/deep/index.html && echo same"),
            "after\nindex.html\nsame\n");
  EXPECT_EQ(VolumeMounts(), 2U);
}

TEST_F(Volume, Artifact) {
  const test::ArtifactSpec spec{.type = "application/vnd.example.model",
                                .files = {{.title = "model.bin", .bytes = "weights\n"},
                                          {.title = "conf/deep/a.json", .bytes = "{}\n"},
                                          {.title = "", .bytes = "nameless\n"}}};
  const std::string name = registry().Artifact("model", spec);
  const std::string image = PullId(name);
  EXPECT_EQ(image, registry().DigestOf(name).hex());
  EXPECT_EQ(PullId(name), image) << "again";

  v1::ImageStatusRequest request;
  request.mutable_image()->set_image(name);
  request.set_verbose(true);
  const auto status = Must(client().ImageStatus(request));
  EXPECT_EQ(status.image().id(), image);
  EXPECT_EQ(status.image().repo_tags(0), name);
  EXPECT_GE(status.image().size(), 20U);
  EXPECT_FALSE(status.image().has_uid());
  EXPECT_EQ(nlohmann::json::parse(status.info().at("info"))["artifactType"],
            "application/vnd.example.model");
  bool listed = false;
  const auto images = Must(client().ListImages());
  for (const auto& one : images.images()) {
    listed = listed || one.id() == image;
  }
  EXPECT_TRUE(listed);

  pod_ = RunPod("pod");
  auto config = WithVolume("c", image);
  config.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(1000);
  const std::string id = Run(pod_, config);
  EXPECT_EQ(ShellIn(id, "cd /volume; cat model.bin conf/deep/a.json sha256-*; find . | wc -l"),
            "weights\n{}\nnameless\n6\n");
  EXPECT_EQ(ShellIn(id, "echo x 2>/dev/null > /volume/model.bin || echo read-only"), "read-only\n");
  const std::string sub = Run(pod_, WithVolume("sub", image, "conf"));
  EXPECT_EQ(ShellIn(sub, "cat /volume/deep/a.json"), "{}\n");
  EXPECT_EQ(VolumeMounts(), 1U);
  ExpectError(CreateError(WithVolume("c2", image, "other")), Code::kNotFound, "does not exist");
  ExpectError(RemoveImage(name), Code::kFailedPrecondition, "uses it as a volume");
  RemoveContainer(id);
  RemoveContainer(sub);
  EXPECT_TRUE(RemoveImage(name).ok());
  EXPECT_FALSE(Must(client().ImageStatus(request)).has_image());
}

TEST_F(Volume, ArtifactIsNotRun) {
  const std::string image =
      PullId(registry().Artifact("norun", {.files = {{.title = "a", .bytes = "x"}}}));
  pod_ = RunPod("pod");
  auto config = ShellContainer("c", kSleep);
  config.mutable_image()->set_image(image);
  ExpectError(CreateError(config), Code::kFailedPrecondition, "OCI artifact");
}

TEST_F(Volume, EmptyArtifact) {
  const std::string image = PullId(registry().Artifact("empty", {}));
  pod_ = RunPod("pod");
  const std::string id = Run(pod_, WithVolume("c", image));
  EXPECT_EQ(ShellIn(id, "ls /volume | wc -l; touch /volume/x 2>/dev/null || echo read-only"),
            "0\nread-only\n");
}

TEST_F(Volume, DirectoryOfAnArtifact) {
  test::TarLayer dir;
  dir.Dir("docs")
      .File("docs/a", "one\n")
      .Symlink("docs/b", "a")
      .File("docs/run", "#!/bin/sh\n", 0755);
  const std::string tar = Must(dir.Finish());
  const std::string image = PullId(registry().Artifact(
      "directory", {.files = {{.title = "docs",
                               .bytes = Must(test::Compress(tar, test::Compression::kGzip)),
                               .unpack = true},
                              {.title = "docs/more", .bytes = "two\n"}}}));
  pod_ = RunPod("pod");
  const std::string id = Run(pod_, WithVolume("c", image));
  EXPECT_EQ(ShellIn(id, "cd /volume/docs; cat a b more; test -x run && echo runs"),
            "one\none\ntwo\nruns\n");
}

// VOLUME of the image, with paths and symlinks that would leave the root (CVE-2022-23648).
class DeclaredVolumes : public Volume, public testing::WithParamInterface<const char*> {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = std::string("image:\n  volumes: ") + GetParam() + "\n", .failpoints = {}};
  }
};

TEST_P(DeclaredVolumes, StayInTheContainer) {
  const std::string kind = GetParam();
  Pull("volumes");
  pod_ = RunPod("pod");
  auto config = ShellContainer("c", kSleep);
  config.mutable_image()->set_image(registry().Image("volumes"));
  config.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
  const std::string id = Run(pod_, config);
  const std::string made =
      ShellIn(id,
              "cd /; ls -d data/new tmp/davit-volume-escape/made tmp/davit-volume-escape/up "
              "2>/dev/null | wc -l");
  EXPECT_EQ(made, kind == "ignore" ? "0\n" : "3\n");
  EXPECT_EQ(ShellIn(id, "touch /data/link/x 2>/dev/null && echo writable || echo read-only"),
            kind == "bind" ? "writable\n" : "read-only\n");
  EXPECT_EQ(ShellIn(id, "stat -c '%a %u %g' /data/filled"), "750 1000 2000\n");
  EXPECT_EQ(ShellIn(id, "ls /data/filled"), kind == "bind" ? "x\n" : "file\n");
  EXPECT_FALSE(PathExists("/tmp/davit-volume-escape"));
  EXPECT_EQ(PathExists(daemon().root() + "/containers/" + id + "/volumes"), kind == "bind");
  RemoveContainer(id);
  EXPECT_FALSE(PathExists(daemon().root() + "/containers/" + id));
}

INSTANTIATE_TEST_SUITE_P(Kinds, DeclaredVolumes, testing::Values("mkdir", "bind", "ignore"),
                         [](const auto& kind) { return std::string(kind.param); });

// The daemon dies, or fails, at each step of storage; the steps of containers are in
// failpoint_test.cc.
class VolumeFailpoint : public Volume, public testing::WithParamInterface<const char*> {
 protected:
  bool StartsDaemon() override { return false; }

  // Until everything has been done once, with retries as a client makes them.
  void GoThrough(const std::function<void(const absl::Status&)>& trouble) {
    const std::string name =
        registry().Artifact("victim", {.files = {{.title = "a", .bytes = "content\n"}}});
    const auto tried = [&](const std::function<absl::Status()>& step) {
      if (const absl::Status status = step(); !status.ok()) {
        ++troubles_;
        trouble(status);
        const absl::Status again = step();
        EXPECT_TRUE(again.ok()) << again;
      }
    };
    std::string id;
    tried([&] {
      v1::PullImageRequest request;
      request.mutable_image()->set_image(name);
      return client().PullImage(request).status();
    });
    Pull("busybox");
    pod_ = RunPod("pod");
    tried([&] {
      auto created = client().CreateContainer(CreateRequest(pod_, WithVolume("c", name)));
      id = created.ok() ? created->container_id() : "";
      return created.status();
    });
    Must(StartContainer(id));
    EXPECT_EQ(ShellIn(id, "cat /volume/a"), "content\n");
    tried([&] {
      v1::RemoveContainerRequest request;
      request.set_container_id(id);
      return client().RemoveContainer(request).status();
    });
    EXPECT_TRUE(Eventually([&] { return VolumeMounts() == 0; }));
    EXPECT_TRUE(Eventually([&] { return RemoveImage(name).ok(); }));
    EXPECT_EQ(troubles_, 1) << "no step passed the failpoint";
  }

  int troubles_ = 0;
};

TEST_P(VolumeFailpoint, CrashIsRecovered) {
  StartDaemon({.drop_in = {}, .failpoints = std::string(GetParam()) + "=crash"});
  GoThrough([&](const absl::Status& status) {
    ASSERT_TRUE(daemon().AwaitEnd()) << status;
    StartDaemon({.drop_in = {}, .failpoints = {}});
  });
}

TEST_P(VolumeFailpoint, ErrorIsUndone) {
  StartDaemon({.drop_in = {}, .failpoints = std::string(GetParam()) + "=error@1"});
  GoThrough([](const absl::Status&) {});
}

INSTANTIATE_TEST_SUITE_P(Steps, VolumeFailpoint,
                         testing::Values("storage.mount_image_volume.after_row",
                                         "storage.mount_image_volume.after_mount",
                                         "storage.release_image_volume.after_unmount",
                                         "create_container.after_volumes",
                                         "remove_container.after_volumes",
                                         "pull_artifact.after_layers"),
                         [](const auto& step) {
                           std::string name = step.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace davit::e2e
