// SPDX-License-Identifier: Apache-2.0
//
// Images without a registry, and a store that is looked after: load, save, check, gc, wipe.

#include <cstdio>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Keeping : public E2eTest {
 protected:
  RunResult Davit(std::vector<std::string> args) {
    args.insert(args.begin(), {DavitPath(), "--socket", daemon().socket()});
    return RunCommand(args);
  }
  std::string MustDavit(const std::vector<std::string>& args) {
    const RunResult run = Davit(args);
    EXPECT_EQ(run.exit.code, 0) << Join(args, " ") << ": " << run.err << run.out;
    return run.out;
  }
  std::string File(const std::string& name) { return daemon().dir() + "/" + name; }
  std::string IdOf(const std::string& image) {
    return json::parse(MustDavit({"-o", "json", "images", image})).at("images").at(0).at("id");
  }
  // A file of the image's only layer that has content.
  std::string SomeFile() {
    const std::string layers = daemon().root() + "/layers";
    return MustRun(
        {"sh", "-c", "find " + layers + "/*/diff -type f -size +1k | head -n1 | tr -d '\\n'"});
  }
};

TEST_F(Keeping, SavedAndLoadedWithoutARegistry) {
  const std::string image = Pull("busybox");
  const std::string id = IdOf(image);
  const std::string archive = File("image.tar");
  MustDavit({"save", image, "--output-file", archive});
  MustDavit({"save", image, "--directory", "--output-file", File("layout")});
  MustRun({"gzip", "-k", archive});
  for (const std::string& input : {archive, archive + ".gz", File("layout")}) {
    MustDavit({"rmi", image});
    EXPECT_THAT(MustDavit({"load", "-i", input}), HasSubstr("loaded " + image)) << input;
    EXPECT_EQ(IdOf(image), id) << input;
    MustDavit({"check", "--full"});
  }
  EXPECT_EQ(MustDavit({"run", "--rm", image, "echo", "runs"}), "runs\n");
  // Through a pipe, into a store that has it.
  MustRun({"sh", "-c",
           DavitPath() + " --socket " + daemon().socket() + " save " + image + " | " + DavitPath() +
               " --socket " + daemon().socket() + " load"});
  ASSERT_TRUE(WriteFileAtomic(File("bad.tar"), std::string(100'000, 'x')).ok());
  const RunResult bad = Davit({"load", "-i", File("bad.tar")});
  EXPECT_EQ(bad.exit.code, 1);
  EXPECT_THAT(bad.err, HasSubstr("malformed tar"));
  EXPECT_THAT(Davit({"save", "nobody/has:this", "--output-file", File("none.tar")}).err,
              HasSubstr("pull it first"));
  EXPECT_FALSE(PathExists(File("none.tar")));
}

TEST_F(Keeping, ArchivesAreWhatOtherToolsReadAndWrite) {
  const std::string image = Pull("busybox");
  const std::string id = IdOf(image);
  const std::string archive = File("image.tar");
  MustDavit({"save", image, "--output-file", archive});
  const std::vector<std::string> skopeo = {"skopeo", "--insecure-policy", "copy"};
  const auto copy = [&skopeo](const std::string& from, const std::string& to) {
    std::vector<std::string> argv = skopeo;
    argv.insert(argv.end(), {from, to});
    return MustRun(argv);
  };
  // The archive is of both kinds. From one kind into the other skopeo rewrites the configuration.
  copy("oci-archive:" + archive, "oci-archive:" + File("oci.tar") + ":" + image);
  copy("docker-archive:" + archive, "docker-archive:" + File("docker.tar") + ":" + image);
  copy("docker-archive:" + archive, "oci-archive:" + File("other.tar") + ":" + image);
  copy("oci-archive:" + archive, "oci:" + File("layout") + ":1");
  for (const std::string made : {"oci.tar", "docker.tar", "other.tar"}) {
    MustDavit({"rmi", image});
    MustDavit({"load", "-i", File(made)});
    EXPECT_EQ(IdOf(image) == id, made != "other.tar") << made;
    MustDavit({"check", "--full"});
  }
  MustDavit({"rmi", image});
  MustDavit({"load", "-i", File("layout"), "--name", "example.org/other"});
  EXPECT_EQ(IdOf("example.org/other:1"), id);
  EXPECT_EQ(MustDavit({"run", "--rm", "example.org/other:1", "echo", "runs"}), "runs\n");
}

TEST_F(Keeping, DamageIsFoundAndPulledAgain) {
  const std::string image = Pull("busybox");
  EXPECT_THAT(MustDavit({"check", "--full"}), HasSubstr("all well"));
  ASSERT_TRUE(WriteExisting(SomeFile(), "DAMAGE").ok());
  EXPECT_THAT(MustDavit({"check"}), HasSubstr("all well")) << "quick reads no content";
  const RunResult found = Davit({"check", "--full"});
  EXPECT_EQ(found.exit.code, 2);
  EXPECT_THAT(found.out, HasSubstr("has 6 bytes instead of"));
  MustDavit({"check", "--full", "--repair"});
  v1::ImageStatusRequest request;
  request.mutable_image()->set_image(image);
  EXPECT_FALSE(Must(client().ImageStatus(request)).has_image()) << "the kubelet pulls it again";
  EXPECT_EQ(Pull("busybox"), image);
  EXPECT_THAT(MustDavit({"check", "--full"}), HasSubstr("all well"));
}

TEST_F(Keeping, CheckedWithoutADaemon) {
  Pull("busybox");
  const std::string root = daemon().root();
  const RunResult refused = Davit({"check", "--root", root});
  EXPECT_EQ(refused.exit.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("another davit"));
  daemon().Kill();
  EXPECT_THAT(MustDavit({"check", "--full", "--root", root}), HasSubstr("all well"));
  StartDaemon({});
  EXPECT_TRUE(Eventually([&] {
    return daemon().Log().find("the last daemon was killed") != std::string::npos &&
           daemon().Log().find("all well") != std::string::npos;
  })) << daemon().Log();
}

TEST_F(Keeping, GarbageIsShownAndCollected) {
  const std::string image = Pull("busybox");
  const std::string stray = daemon().root() + "/layers/" + std::string(64, 'e');
  ASSERT_TRUE(MakeDirs(stray).ok());
  const std::string shown = MustDavit({"gc", "--dry-run", "--images"});
  EXPECT_THAT(shown, HasSubstr(stray));
  EXPECT_THAT(shown, HasSubstr(image));
  EXPECT_TRUE(PathExists(stray));
  MustDavit({"gc"});
  EXPECT_TRUE(Eventually([&] { return !PathExists(stray); }));
  EXPECT_THAT(MustDavit({"gc", "--dry-run", "--images", "--older-than", "1h"}),
              ::testing::Not(HasSubstr(image)));
  const Pod pod = RunPod("user");
  const std::string user = Create(pod, ShellContainer("c", "true"));
  MustDavit({"gc", "--images"});
  EXPECT_THAT(MustDavit({"images"}), HasSubstr("busybox")) << "a container uses it";
  RemovePod(pod.id);
  MustDavit({"gc", "--images"});
  EXPECT_EQ(MustDavit({"images"}).find("busybox"), std::string::npos);
}

// What another davit filled is used as if it were here, and left as it is.
TEST_F(Keeping, ImagesOfAReadOnlyStore) {
  const std::string image = Pull("busybox");
  const std::string id = IdOf(image);
  ASSERT_EQ(daemon().Stop(), 0);
  const std::string shared = File("shared");
  ASSERT_EQ(rename(daemon().root().c_str(), shared.c_str()), 0);
  StartDaemon({.drop_in = "storage: {additional_stores: [" + shared + "]}", .failpoints = {}});
  EXPECT_EQ(IdOf(image), id);
  EXPECT_EQ(MustDavit({"run", "--rm", image, "echo", "runs"}), "runs\n");
  EXPECT_EQ(Pull("busybox"), image);
  EXPECT_TRUE(Must(ListDir(daemon().root() + "/layers")).empty()) << "nothing is fetched";
  const RunResult refused = Davit({"rmi", image});
  EXPECT_EQ(refused.exit.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("read-only store " + shared));
  EXPECT_EQ(MustDavit({"gc", "--images", "--dry-run"}).find("busybox"), std::string::npos);
  MustDavit({"wipe", "--all", "--force"});
  EXPECT_EQ(IdOf(image), id);
  EXPECT_THAT(MustDavit({"check", "--full"}), HasSubstr("content of 1 layers"));
}

TEST_F(Keeping, UsedSpaceIsWhatTheDiskSays) {
  Pull("busybox");
  const auto used = [this] {
    const auto info = Must(client().ImageFsInfo());
    return std::to_string(info.image_filesystems(0).inodes_used().value());
  };
  const std::string expected = MustRun(
      {"sh", "-c",
       "find " + daemon().root() + "/layers/* -printf '%i\\n' | sort -u | wc -l | tr -d '\\n'"});
  EXPECT_TRUE(Eventually([&] { return used() == expected; })) << used() << " of " << expected;
}

TEST_F(Keeping, WipeRefusesWhileContainersRun) {
  Pull("busybox");
  const Pod pod = RunPod("p");
  const std::string id = Run(pod, ShellContainer("c", "exec sleep 1000"));
  const RunResult running = Davit({"wipe", "--all", "--force"});
  EXPECT_EQ(running.exit.code, 1);
  EXPECT_THAT(running.err, HasSubstr("drain the node"));
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  ASSERT_TRUE(StopContainer(id, 0).ok());
  EXPECT_THAT(Davit({"wipe", "--images", "--force"}).err, HasSubstr("use images"));
  EXPECT_THAT(Davit({"wipe", "--all"}).err, HasSubstr("--force"));
  EXPECT_THAT(Davit({"wipe"}).err, HasSubstr("what to wipe"));
  EXPECT_THAT(MustDavit({"wipe", "--all", "--force"}), HasSubstr("1 pods with 1 containers"));
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(MustDavit({"images"}).find("busybox"), std::string::npos);
  EXPECT_EQ(Leaks(), "");
}

}  // namespace
}  // namespace davit::e2e
