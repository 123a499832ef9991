// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

using Strings = std::vector<std::string>;

void AddEnv(TestRequest& request, const std::string& key, const std::string& value) {
  runtime::v1::KeyValue* env = request.container.add_envs();
  env->set_key(key);
  env->set_value(value);
}

TEST(Process, ArgsComeFromTheImageUnlessTheRequestNamesThem) {
  TestRequest request;
  EXPECT_EQ(request.Process()["args"], Json({"/entry", "cmd"}));
  request.container.add_args("arg");
  EXPECT_EQ(request.Process()["args"], Json({"/entry", "arg"}));
  request.container.add_command("/bin/sh");
  EXPECT_EQ(request.Process()["args"], Json({"/bin/sh", "arg"}));
  request.container.clear_args();
  EXPECT_EQ(request.Process()["args"], Json({"/bin/sh"}));
}

TEST(Process, RefusesNoCommandAtAll) {
  TestRequest request;
  request.image.entrypoint.clear();
  EXPECT_EQ(request.Process()["args"], Json({"cmd"}));
  request.image.cmd.clear();
  EXPECT_EQ(Text(request.Error()),
            "INVALID_ARGUMENT: container web: command: neither the request nor the image names a "
            "program to run");
  request.container.add_command("");
  EXPECT_EQ(request.Error().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Process, RefusesNulInArguments) {
  TestRequest request;
  request.container.add_args(std::string("a\0b", 3));
  EXPECT_NE(Text(request.Error()).find("NUL"), std::string::npos);
}

TEST(Process, EnvOrderIsDefaultThenImageThenRequest) {
  TestRequest request;
  request.node.default_env = {"A=node", "B=node", "C=node"};
  request.image.env = {"B=image", "C=image", "broken", "=nameless"};
  AddEnv(request, "C", "request=with=equals");
  const Json env = request.Process()["env"];
  EXPECT_EQ(env,
            Json({"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                  "HOSTNAME=pod-host", "A=node", "B=image", "C=request=with=equals", "HOME=/"}));
}

TEST(Process, ImageReplacesStandardEnv) {
  TestRequest request;
  request.container.set_tty(true);
  request.image.env = {"PATH=/opt", "TERM=vt100"};
  const Json process = request.Process();
  EXPECT_TRUE(HasString(process["env"], "PATH=/opt"));
  EXPECT_TRUE(HasString(process["env"], "TERM=vt100"));
  EXPECT_FALSE(HasString(process["env"], "TERM=xterm"));
  EXPECT_EQ(process["terminal"], true);
}

TEST(Process, TermOnlyWithTerminal) {
  TestRequest request;
  EXPECT_FALSE(HasString(request.Process()["env"], "TERM=xterm"));
  request.container.set_tty(true);
  EXPECT_TRUE(HasString(request.Process()["env"], "TERM=xterm"));
}

TEST(Process, HomeComesFromPasswdUnlessSet) {
  TestRequest request;
  request.root.Write("etc/passwd", "www:x:33:33:www:/srv/www:/bin/sh\n");
  request.image.user = "www";
  EXPECT_TRUE(HasString(request.Process()["env"], "HOME=/srv/www"));
  AddEnv(request, "HOME", "/elsewhere");
  EXPECT_TRUE(HasString(request.Process()["env"], "HOME=/elsewhere"));
  EXPECT_FALSE(HasString(request.Process()["env"], "HOME=/srv/www"));
}

// CVE-2022-4318: a line break in HOME became a line of /etc/passwd.
TEST(Process, RefusesLineBreakInHome) {
  TestRequest request;
  AddEnv(request, "HOME", "/:/bin/sh\nroot2::0:0::/:/bin/sh");
  EXPECT_EQ(Text(request.Error()),
            "INVALID_ARGUMENT: container web: envs HOME: must not hold a line break");
  TestRequest from_image;
  from_image.image.env = {"HOME=/\nx::0:0::/:/bin/sh"};
  EXPECT_EQ(from_image.Error().code(), absl::StatusCode::kInvalidArgument);
  TestRequest elsewhere;
  AddEnv(elsewhere, "TEXT", "two\nlines: fine");
  EXPECT_TRUE(HasString(elsewhere.Process()["env"], "TEXT=two\nlines: fine"));
}

TEST(Process, RefusesEnvThatCannotBeSet) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
           {"", "x"}, {"A=B", "x"}, {"A", std::string("x\0y", 3)}, {"A", "\xff\xfe"}}) {
    TestRequest request;
    AddEnv(request, key, value);
    EXPECT_EQ(request.Error().code(), absl::StatusCode::kInvalidArgument) << key;
  }
}

TEST(Process, WorkingDirectory) {
  TestRequest request;
  EXPECT_EQ(request.Process()["cwd"], "/");
  request.image.working_dir = "/srv//app/./";
  EXPECT_EQ(request.Process()["cwd"], "/srv/app");
  request.container.set_working_dir("/tmp");
  EXPECT_EQ(request.Process()["cwd"], "/tmp");
}

// CVE-2024-21626 and kin: a working directory that leads out of the root.
TEST(Process, RefusesWorkingDirectoryThatLeavesTheRoot) {
  for (const std::string path :
       {"relative", "/a/../../etc", "/..", "/proc/self/fd/7", "/proc/1/root", "/proc/self/cwd/x",
        "/proc//thread-self/fd/8", "/new\nline"}) {
    TestRequest request;
    request.container.set_working_dir(path);
    const std::string text = Text(request.Error());
    EXPECT_EQ(text.rfind("INVALID_ARGUMENT: container web: working_dir", 0), 0U) << text;
    TestRequest from_image;
    from_image.image.working_dir = path;
    EXPECT_NE(Text(from_image.Error()).find("image working directory"), std::string::npos) << path;
  }
}

TEST(Process, UlimitsOfTheNode) {
  TestRequest request;
  request.node.default_ulimits = {"nofile=64:128", "core=0", "nofile=65:130", "MEMLOCK=unlimited"};
  const Json limits = request.Process()["rlimits"];
  ASSERT_EQ(limits.size(), 3U);
  const Json nofile = FindBy(limits, "type", "RLIMIT_NOFILE");
  EXPECT_EQ(nofile["soft"], 65);
  EXPECT_EQ(nofile["hard"], 130);
  EXPECT_EQ(FindBy(limits, "type", "RLIMIT_CORE")["hard"], 0);
  EXPECT_EQ(FindBy(limits, "type", "RLIMIT_MEMLOCK")["hard"], UINT64_MAX);
}

TEST(Process, RefusesBadUlimits) {
  for (const std::string text : {"nofile", "nofile=", "nofile=2:1", "nosuch=1", "nofile=x:1", ""}) {
    TestRequest request;
    request.node.default_ulimits = {text};
    const std::string error = Text(request.Error());
    EXPECT_EQ(error.rfind("FAILED_PRECONDITION: container web: default_ulimits", 0), 0U) << error;
  }
}

TEST(Process, RefusesUlimitThatTheDaemonMayNotSet) {
  TestRequest request;
  request.own_capabilities.erase("CAP_SYS_RESOURCE");
  request.node.default_ulimits = {"nofile=1024:unlimited"};
  EXPECT_NE(Text(request.Error()).find("CAP_SYS_RESOURCE"), std::string::npos);
}

TEST(Process, OomScoreIsRaisedToWhatTheDaemonMaySet) {
  TestRequest request;
  EXPECT_EQ(request.Process()["oomScoreAdj"], 0);
  auto* resources = request.container.mutable_linux()->mutable_resources();
  resources->set_oom_score_adj(-997);
  EXPECT_EQ(request.Process()["oomScoreAdj"], -997);
  request.lowest_oom_score_adj = -500;
  EXPECT_EQ(request.Process()["oomScoreAdj"], -500);
  resources->set_oom_score_adj(985);
  EXPECT_EQ(request.Process()["oomScoreAdj"], 985);
  resources->set_oom_score_adj(1001);
  EXPECT_EQ(request.Error().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Process, NoNewPrivileges) {
  TestRequest request;
  EXPECT_EQ(request.Process()["noNewPrivileges"], false);
  request.Context().set_no_new_privs(true);
  EXPECT_EQ(request.Process()["noNewPrivileges"], true);
}

}  // namespace
}  // namespace davit::server::spec
