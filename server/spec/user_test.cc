// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "server/spec/passwd.h"
#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# comment:x:1:1\n"
    "short:x:9\n"
    "web:x:1000:1001:Web:/home/web:/bin/sh\n"
    "homeless:x:1002:1002\n"
    "4294967296:x:0:0:trap:/root:/bin/sh\n"
    "huge:x:4294967296:0::/:/bin/sh\n"
    "negative:x:-1:0::/:/bin/sh\n";
constexpr char kGroup[] =
    "root:x:0:\n"
    "web:x:1001:\n"
    "audio:x:29:web,root\n"
    "video:x:44:other,web\n"
    "huge:x:4294967296:web\n"
    "staff:x:50:other\n";

class UserTest : public testing::Test {
 protected:
  UserTest() {
    request_.root.Write("etc/passwd", kPasswd);
    request_.root.Write("etc/group", kGroup);
  }
  User Resolve() {
    const absl::StatusOr<User> user = ResolveUser(request_.Input());
    EXPECT_TRUE(user.ok()) << Text(user.status());
    return user.ok() ? *user : User{-1, -1, {}, ""};
  }
  std::string Error() { return Text(ResolveUser(request_.Input()).status()); }
  void RunAs(int64_t uid) { request_.Context().mutable_run_as_user()->set_value(uid); }
  void RunAsGroup(int64_t gid) { request_.Context().mutable_run_as_group()->set_value(gid); }

  TestRequest request_;
};

TEST_F(UserTest, RootWithoutAWord) {
  const User user = Resolve();
  EXPECT_EQ(user.uid, 0);
  EXPECT_EQ(user.gid, 0);
  EXPECT_EQ(user.groups, (std::vector<int64_t>{0, 29}));
  EXPECT_EQ(user.home, "/root");
}

TEST_F(UserTest, FormsOfTheImage) {
  struct Case {
    const char* text;
    int64_t uid;
    int64_t gid;
    const char* home;
  };
  for (const Case& each :
       {Case{"web", 1000, 1001, "/home/web"}, Case{"1000", 1000, 1001, "/home/web"},
        Case{"web:staff", 1000, 50, "/home/web"}, Case{"1000:50", 1000, 50, "/home/web"},
        Case{"web:7", 1000, 7, "/home/web"}, Case{"1000:staff", 1000, 50, "/home/web"},
        Case{"7777", 7777, 0, "/"}, Case{"7777:8", 7777, 8, "/"},
        Case{"web:", 1000, 1001, "/home/web"}, Case{":staff", 0, 50, "/root"},
        Case{"homeless", 1002, 1002, "/"},
        Case{"2147483647:2147483647", 2147483647, 2147483647, "/"}}) {
    request_.image.user = each.text;
    const User user = Resolve();
    EXPECT_EQ(user.uid, each.uid) << each.text;
    EXPECT_EQ(user.gid, each.gid) << each.text;
    EXPECT_EQ(user.home, each.home) << each.text;
    EXPECT_EQ(user.groups.front(), each.gid) << each.text;
  }
}

// CVE-2024-40635: ids past 2^31-1 wrapped round to root.
TEST_F(UserTest, RefusesIdsOutOfRange) {
  for (const char* text : {"4294967296", "2147483648", "-1", "0x0", "99999999999999999999", "+0",
                           "huge", "negative", "1000:4294967296", "1000:2147483648", "1000:-1",
                           "1000:0x0", "1000:huge", "1000:99999999999999999999"}) {
    request_.image.user = text;
    EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: image user", 0), 0U) << text << " " << Error();
  }
  for (const int64_t id : {int64_t{4294967296}, int64_t{2147483648}, int64_t{-1}}) {
    RunAs(id);
    EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: run_as_user", 0), 0U) << Error();
  }
  RunAs(1);
  RunAsGroup(int64_t{4294967296});
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: run_as_group", 0), 0U) << Error();
  RunAsGroup(1);
  request_.Context().add_supplemental_groups(-5);
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: supplemental_groups", 0), 0U) << Error();
}

TEST_F(UserTest, UnknownNamesAreNamed) {
  request_.image.user = "nobody";
  EXPECT_EQ(Error(),
            "INVALID_ARGUMENT: image user \"nobody\": the image's /etc/passwd has no such user");
  request_.image.user = "web:nogroup";
  EXPECT_EQ(Error(),
            "INVALID_ARGUMENT: image user's group \"nogroup\": the image's /etc/group has no such "
            "group");
}

TEST_F(UserTest, RequestOverridesTheImage) {
  request_.image.user = "web";
  RunAs(0);
  EXPECT_EQ(Resolve().uid, 0);
  RunAs(1000);
  RunAsGroup(3);
  const User user = Resolve();
  EXPECT_EQ(user.uid, 1000);
  EXPECT_EQ(user.gid, 3);
  EXPECT_EQ(user.groups, (std::vector<int64_t>{3, 29, 44}));
}

TEST_F(UserTest, RunAsUsername) {
  request_.Context().set_run_as_username("web");
  EXPECT_EQ(Resolve().uid, 1000);
  EXPECT_EQ(Resolve().gid, 1001);
  RunAsGroup(0);
  EXPECT_EQ(Resolve().gid, 0);
  request_.Context().set_run_as_username("absent");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: run_as_username \"absent\"", 0), 0U) << Error();
}

TEST_F(UserTest, RefusesContradictions) {
  RunAsGroup(5);
  EXPECT_EQ(Error(), "INVALID_ARGUMENT: run_as_group: needs run_as_user or run_as_username");
  RunAs(1);
  request_.Context().set_run_as_username("web");
  EXPECT_EQ(Error(),
            "INVALID_ARGUMENT: run_as_user and run_as_username: only one of them may be given");
}

TEST_F(UserTest, SupplementalGroupsMergeOrStrict) {
  RunAs(1000);
  request_.Context().add_supplemental_groups(50000);
  request_.Context().add_supplemental_groups(29);
  EXPECT_EQ(Resolve().groups, (std::vector<int64_t>{1001, 29, 44, 50000}));
  request_.Context().set_supplemental_groups_policy(runtime::v1::Strict);
  EXPECT_EQ(Resolve().groups, (std::vector<int64_t>{1001, 50000, 29}));
  request_.Context().set_supplemental_groups_policy(
      static_cast<runtime::v1::SupplementalGroupsPolicy>(7));
  EXPECT_EQ(Error(), "INVALID_ARGUMENT: supplemental_groups_policy 7: unknown value");
}

TEST_F(UserTest, OutputTellsTheUser) {
  request_.image.user = "web";
  const absl::StatusOr<SpecOutput> output = BuildSpec(request_.Input());
  ASSERT_TRUE(output.ok()) << Text(output.status());
  EXPECT_EQ(output->user.linux().uid(), 1000);
  EXPECT_EQ(output->user.linux().gid(), 1001);
  ASSERT_EQ(output->user.linux().supplemental_groups_size(), 3);
  EXPECT_EQ(output->user.linux().supplemental_groups(0), 1001);
  const Json user = Json::parse(output->config_json)["process"]["user"];
  EXPECT_EQ(user, Json({{"uid", 1000}, {"gid", 1001}, {"additionalGids", {1001, 29, 44}}}));
}

TEST(UserFiles, ImageWithoutAccounts) {
  TestRequest request;
  request.image.user = "12:34";
  const absl::StatusOr<User> user = ResolveUser(request.Input());
  ASSERT_TRUE(user.ok()) << Text(user.status());
  EXPECT_EQ(user->groups, (std::vector<int64_t>{34}));
  EXPECT_EQ(user->home, "/");
}

// The host's accounts must not be read through the image's symlinks.
TEST(UserFiles, SymlinksStayInTheImage) {
  TestRequest request;
  TempDir outside;
  outside.Write("passwd", "spy:x:0:0::/:/bin/sh\n");
  request.root.MakeDir("etc");
  const std::string link = request.root.path() + "/etc/passwd";
  ASSERT_EQ(symlink((outside.path() + "/passwd").c_str(), link.c_str()), 0);
  request.image.user = "spy";
  EXPECT_EQ(ResolveUser(request.Input()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(UserFiles, FifoDoesNotHangTheDaemon) {
  TestRequest request;
  request.root.MakeDir("etc");
  ASSERT_EQ(mkfifo((request.root.path() + "/etc/passwd").c_str(), 0600), 0);
  request.image.user = "web";
  const absl::Status status = ResolveUser(request.Input()).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(Text(status).find("/etc/passwd"), std::string::npos) << Text(status);
}

TEST(UserFiles, HugeFileIsRefused) {
  TestRequest request;
  request.root.Write("etc/passwd", std::string((4U << 20U) + 1, 'x'));
  EXPECT_EQ(ResolveUser(request.Input()).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Passwd, SkipsWhatDoesNotParse) {
  EXPECT_EQ(ParsePasswd(kPasswd).size(), 4U);
  EXPECT_EQ(ParseGroup(kGroup).size(), 5U);
  EXPECT_TRUE(ParsePasswd(std::string("\0\n:::\n::::::\n", 14)).empty());
}

TEST_F(UserTest, AccountsAreMadeForThoseWithoutOne) {
  request_.root.Write("etc/passwd", "root:x:0:0:root:/root:/bin/sh");
  request_.root.Write("etc/group", "root:x:0:\n");
  auto input = request_.Input();
  input.passwd_path = "/run/c/passwd";
  input.group_path = "/run/c/group";
  auto output = BuildSpec(input);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->passwd, "") << "root has one";
  EXPECT_EQ(output->group, "");
  request_.Context().mutable_run_as_user()->set_value(1234);
  request_.Context().mutable_run_as_group()->set_value(99);
  output = BuildSpec(input);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->passwd,
            "root:x:0:0:root:/root:/bin/sh\n1234:x:1234:99:container user:/:/sbin/nologin\n");
  EXPECT_EQ(output->group, "root:x:0:\n99:x:99:\n");
  Json config = Json::parse(output->config_json);
  EXPECT_EQ(FindBy(config["mounts"], "destination", "/etc/passwd")["source"], "/run/c/passwd");
  EXPECT_TRUE(HasString(FindBy(config["mounts"], "destination", "/etc/group")["options"], "rw"));
  // Who mounts files of his own there has them.
  auto* mount = request_.container.add_mounts();
  mount->set_host_path(request_.root.path() + "/etc/passwd");
  mount->set_container_path("/etc/passwd");
  output = BuildSpec(input);
  ASSERT_TRUE(output.ok()) << output.status();
  config = Json::parse(output->config_json);
  EXPECT_EQ(FindBy(config["mounts"], "destination", "/etc/passwd")["source"],
            request_.root.path() + "/etc/passwd");
}

}  // namespace
}  // namespace davit::server::spec
