// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/file.h"
#include "server/spec/rootfs_prep.h"
#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

TEST(Spec, WholeConfig) {
  TestRequest request;
  const Json config = request.Config();
  EXPECT_EQ(config["ociVersion"], "1.0.2");
  EXPECT_EQ(config["linux"]["cgroupsPath"], "/davit-test/c1");
  EXPECT_FALSE(config.contains("hostname"));
  EXPECT_FALSE(config["process"].contains("apparmorProfile"));
  EXPECT_FALSE(config["process"].contains("selinuxLabel"));
}

TEST(Namespaces, OwnPidAndMountWithoutPins) {
  TestRequest request;
  EXPECT_EQ(request.Config()["linux"]["namespaces"],
            Json::array({{{"type", "mount"}}, {{"type", "pid"}}}));
  request.namespaces.host_pid = true;
  request.cgroup_v2 = true;
  EXPECT_EQ(request.Config()["linux"]["namespaces"],
            Json::array({{{"type", "mount"}}, {{"type", "cgroup"}}}));
  request.MakePrivileged();
  EXPECT_EQ(request.Config()["linux"]["namespaces"], Json::array({{{"type", "mount"}}}));
}

TEST(Namespaces, JoinsPins) {
  TestRequest request;
  request.namespaces = {.net = "/ns/net", .ipc = "/ns/ipc", .uts = "/ns/uts", .pid = "/ns/pid"};
  const Json list = request.Config()["linux"]["namespaces"];
  EXPECT_EQ(FindBy(list, "type", "network")["path"], "/ns/net");
  EXPECT_EQ(FindBy(list, "type", "ipc")["path"], "/ns/ipc");
  EXPECT_EQ(FindBy(list, "type", "uts")["path"], "/ns/uts");
  EXPECT_EQ(FindBy(list, "type", "pid")["path"], "/ns/pid");
  EXPECT_TRUE(FindBy(list, "type", "user").is_null());
}

TEST(Namespaces, RefusesTheHostsInAPodOfItsOwn) {
  TestRequest request;
  auto* options = request.Context().mutable_namespace_options();
  options->set_network(runtime::v1::NODE);
  options->set_ipc(runtime::v1::NODE);
  request.Config();
  request.namespaces.net = "/run/pin/net";
  EXPECT_NE(Text(request.Error()).find("namespace_options.network NODE"), std::string::npos);
  options->set_network(runtime::v1::POD);
  request.namespaces.ipc = "/run/pin/ipc";
  EXPECT_NE(Text(request.Error()).find("namespace_options.ipc NODE"), std::string::npos);
  options->set_ipc(runtime::v1::POD);
  options->set_target_id("abc");
  EXPECT_NE(Text(request.Error()).find("target_id: needs pid TARGET"), std::string::npos);
}

TEST(Annotations, NamesTheContainerAndPassesOnWhatIsAllowed) {
  TestRequest request;
  auto& pod = *request.sandbox.mutable_annotations();
  auto& own = *request.container.mutable_annotations();
  pod["run.oci.hooks.stdout"] = "/etc/cron.d/x";
  pod["allowed.test/a"] = "pod";
  own["allowed.test/a"] = "container";
  own["allowed.test/b"] = "b";
  own["exact"] = "yes";
  own["exactly"] = "no";
  own["io.kubernetes.cri.container-type"] = "sandbox";
  EXPECT_EQ(request.Config()["annotations"],
            Json({{"io.kubernetes.cri.container-type", "container"},
                  {"io.kubernetes.cri.sandbox-id", "s1"},
                  {"io.kubernetes.cri.container-name", "web"},
                  {"io.kubernetes.cri.sandbox-name", "pod"},
                  {"io.kubernetes.cri.sandbox-namespace", "ns"},
                  {"io.kubernetes.cri.sandbox-uid", "pod-uid"},
                  {"io.kubernetes.cri.image-name", "example.test/web:1"}}));
  request.allowed_annotations = {"allowed.test/*", "exact", "io.kubernetes.cri.*"};
  const Json annotations = request.Config()["annotations"];
  EXPECT_EQ(annotations["allowed.test/a"], "container");
  EXPECT_EQ(annotations["allowed.test/b"], "b");
  EXPECT_EQ(annotations["exact"], "yes");
  EXPECT_FALSE(annotations.contains("exactly"));
  EXPECT_EQ(annotations["io.kubernetes.cri.container-type"], "container");
}

// CVE-2024-3154: an annotation became a property of a systemd unit; the same door in crun.
TEST(Annotations, NothingReachesTheRuntimeUnasked) {
  TestRequest request;
  for (const char* key : {"org.systemd.property.ExecStart", "run.oci.hooks.stderr",
                          "run.oci.keep_original_groups", "io.katacontainers.config.x"}) {
    (*request.container.mutable_annotations())[key] = "x";
    EXPECT_FALSE(request.Config()["annotations"].contains(key)) << key;
  }
}

TEST(StopSignal, RequestThenImage) {
  using runtime::v1::Signal;
  TestRequest request;
  const auto resolve = [&request] {
    const absl::StatusOr<SpecOutput> output = BuildSpec(request.Input());
    EXPECT_TRUE(output.ok()) << Text(output.status());
    return output.ok() ? output->stop_signal : Signal::SIGNAL_RUNTIME_DEFAULT;
  };
  EXPECT_EQ(resolve(), Signal::SIGNAL_RUNTIME_DEFAULT);
  for (const auto& [text, signal] :
       std::vector<std::pair<std::string, Signal>>{{"SIGTERM", Signal::SIGNAL_SIGTERM},
                                                   {"quit", Signal::SIGNAL_SIGQUIT},
                                                   {"15", Signal::SIGNAL_SIGTERM},
                                                   {"34", Signal::SIGNAL_SIGRTMIN},
                                                   {"37", Signal::SIGNAL_SIGRTMINPLUS3},
                                                   {"SIGRTMIN+3", Signal::SIGNAL_SIGRTMINPLUS3},
                                                   {"RTMAX-14", Signal::SIGNAL_SIGRTMAXMINUS14},
                                                   {"64", Signal::SIGNAL_SIGRTMAX}}) {
    request.image.stop_signal = text;
    EXPECT_EQ(resolve(), signal) << text;
  }
  request.container.set_stop_signal(Signal::SIGNAL_SIGUSR1);
  EXPECT_EQ(resolve(), Signal::SIGNAL_SIGUSR1);
}

TEST(StopSignal, RefusesUnknown) {
  for (const std::string text : {"SIGNOPE", "0", "65", "RUNTIME_DEFAULT", "-9", "SIG"}) {
    TestRequest request;
    request.image.stop_signal = text;
    EXPECT_EQ(Text(request.Error()), "INVALID_ARGUMENT: container web: image stop signal \"" +
                                         text + "\": no such signal");
  }
}

TEST(Exec, TakesTheContainersProcess) {
  TestRequest request;
  request.Context().mutable_run_as_user()->set_value(12);
  request.node.default_ulimits = {"nofile=10:20"};
  const std::string config = request.Config().dump();
  const absl::StatusOr<std::string> text = ExecProcess(config, {"ls", "-l"}, false);
  ASSERT_TRUE(text.ok()) << Text(text.status());
  Json expected = Json::parse(config)["process"];
  expected["args"] = {"ls", "-l"};
  EXPECT_EQ(Json::parse(*text), expected);
}

TEST(Exec, Terminal) {
  TestRequest request;
  const absl::StatusOr<std::string> text = ExecProcess(request.Config().dump(), {"sh"}, true);
  ASSERT_TRUE(text.ok()) << Text(text.status());
  EXPECT_EQ(Json::parse(*text)["terminal"], true);
  EXPECT_TRUE(HasString(Json::parse(*text)["env"], "TERM=xterm"));
}

TEST(Exec, OnOneCpu) {
  TestRequest request;
  const absl::StatusOr<std::string> text = ExecProcess(request.Config().dump(), {"sh"}, false, 3);
  ASSERT_TRUE(text.ok()) << Text(text.status());
  EXPECT_EQ(Json::parse(*text)["execCPUAffinity"], Json({{"final", "3"}}));
}

TEST(Exec, RefusesWhatCannotRun) {
  TestRequest request;
  const std::string config = request.Config().dump();
  using absl::StatusCode;
  EXPECT_EQ(ExecProcess(config, {}, false).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ExecProcess(config, {""}, false).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ExecProcess(config, {"\xff"}, false).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ExecProcess("{", {"ls"}, false).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ExecProcess("{}", {"ls"}, false).status().code(), StatusCode::kDataLoss);
}

class RootfsPrepTest : public testing::Test {
 protected:
  RootfsPrepTest() : fd_(open(root().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}
  std::string root() { return outer_.MakeDir("a/b/root"); }
  absl::Status Prepare() {
    auto made = MakeDeclaredVolumes(fd_.get(), image_, container_);
    made_ = made.value_or(std::vector<std::string>());
    return made.status();
  }

  TempDir outer_;
  UniqueFd fd_;
  image::ImageConfig image_;
  runtime::v1::ContainerConfig container_;
  std::vector<std::string> made_;
};

TEST_F(RootfsPrepTest, MakesVolumeDirectories) {
  image_.volumes = {"/data/db", "relative", "/data"};
  EXPECT_EQ(Text(Prepare()), "OK: ");
  EXPECT_EQ(Text(Prepare()), "OK: ");
  struct stat st = {};
  ASSERT_EQ(stat((root() + "/data/db").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0755U);
  EXPECT_TRUE(PathExists(root() + "/relative"));
  EXPECT_EQ(made_, (std::vector<std::string>{"/data/db", "/relative", "/data"}));
}

TEST_F(RootfsPrepTest, LeavesMountedVolumesAlone) {
  image_.volumes = {"/data/"};
  container_.add_mounts()->set_container_path("/data");
  EXPECT_EQ(Text(Prepare()), "OK: ");
  EXPECT_FALSE(PathExists(root() + "/data"));
}

// CVE-2022-23648: a volume path that leaves the root.
TEST_F(RootfsPrepTest, StaysBeneathTheRoot) {
  image_.volumes = {"/../../escape", "/link/below"};
  ASSERT_EQ(symlink((outer_.path() + "/a").c_str(), (root() + "/link").c_str()), 0);
  (void)Prepare();
  EXPECT_FALSE(PathExists(outer_.path() + "/escape"));
  EXPECT_FALSE(PathExists(outer_.path() + "/a/escape"));
  EXPECT_FALSE(PathExists(outer_.path() + "/a/below"));
  EXPECT_TRUE(PathExists(root() + "/escape"));
}

// What is bound there later must be bound within the root.
TEST_F(RootfsPrepTest, TellsWhereAVolumeReallyIs) {
  outer_.MakeDir("a/b/root/real");
  ASSERT_EQ(symlink("/real", (root() + "/absolute").c_str()), 0);
  ASSERT_EQ(symlink("../../../../../real", (root() + "/relative").c_str()), 0);
  ASSERT_EQ(symlink("/not/yet", (root() + "/dangling").c_str()), 0);
  image_.volumes = {"/absolute/x", "/relative", "/dangling", "/../../etc/./y/", "/.."};
  EXPECT_EQ(Text(Prepare()), "OK: ");
  EXPECT_EQ(made_, (std::vector<std::string>{"/real/x", "/real", "/not/yet", "/etc/y", "/"}));
}

// CVE-2024-5154: /etc of the image leads to a directory of the host.
TEST_F(RootfsPrepTest, LinksMtabWithinTheRoot) {
  EXPECT_EQ(Text(LinkMtab(fd_.get())), "OK: ") << "an image without /etc";
  outer_.MakeDir("a/host");
  ASSERT_EQ(symlink((outer_.path() + "/a/host").c_str(), (root() + "/etc").c_str()), 0);
  EXPECT_EQ(Text(LinkMtab(fd_.get())), "OK: ");
  ASSERT_EQ(unlink((root() + "/etc").c_str()), 0);
  ASSERT_EQ(symlink("../../../../../../a/host", (root() + "/etc").c_str()), 0);
  EXPECT_EQ(Text(LinkMtab(fd_.get())), "OK: ");
  EXPECT_EQ(ListDir(outer_.path() + "/a/host")->size(), 0U);
  ASSERT_EQ(unlink((root() + "/etc").c_str()), 0);
  outer_.MakeDir("a/b/root/etc");
  EXPECT_EQ(Text(LinkMtab(fd_.get())), "OK: ");
  EXPECT_EQ(Text(LinkMtab(fd_.get())), "OK: ");
  char target[64] = {};
  ASSERT_GT(readlink((root() + "/etc/mtab").c_str(), target, sizeof target - 1), 0);
  EXPECT_STREQ(target, "/proc/mounts");
}

TEST_F(RootfsPrepTest, LeavesTheImagesMtabAlone) {
  outer_.Write("a/b/root/etc/mtab", "its own");
  EXPECT_EQ(Text(LinkMtab(fd_.get())), "OK: ");
  EXPECT_EQ(*ReadFile(root() + "/etc/mtab"), "its own");
}

TEST_F(RootfsPrepTest, NamesTheVolumeThatCannotBe) {
  outer_.Write("a/b/root/file", "");
  image_.volumes = {"/file/x"};
  EXPECT_NE(Text(Prepare()).find("image volume /file/x"), std::string::npos) << Text(Prepare());
  image_.volumes = {std::string("/a\0b", 4)};
  EXPECT_EQ(Prepare().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace davit::server::spec
