// SPDX-License-Identifier: Apache-2.0
#include "server/spec/apparmor.h"

#include <gtest/gtest.h>

#include "base/subprocess.h"
#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

using runtime::v1::SecurityProfile;

class AppArmorTest : public testing::Test {
 protected:
  void HaveAppArmor(const std::string& profiles) {
    request_.root.Write(".sys/module/apparmor/parameters/enabled", "Y\n");
    request_.root.Write(".sys/kernel/security/apparmor/profiles", profiles);
  }
  void Ask(SecurityProfile::ProfileType type, const std::string& reference = "") {
    SecurityProfile* profile = request_.Context().mutable_apparmor();
    profile->set_profile_type(type);
    profile->set_localhost_ref(reference);
  }
  std::string Error() { return Text(request_.Error()); }
  std::string AppArmor() { return JsonString(request_.Process(), "apparmorProfile", "none"); }

  TestRequest request_;
};

TEST_F(AppArmorTest, WithoutKernelSupport) {
  EXPECT_EQ(AppArmor(), "none");
  Ask(SecurityProfile::RuntimeDefault);
  EXPECT_EQ(AppArmor(), "none");
  Ask(SecurityProfile::Unconfined);
  EXPECT_EQ(AppArmor(), "none");
  Ask(SecurityProfile::Localhost, "mine");
  EXPECT_EQ(
      Error(),
      "FAILED_PRECONDITION: container web: apparmor: profile \"mine\" cannot be applied, this "
      "kernel has no AppArmor");
}

TEST_F(AppArmorTest, Profiles) {
  HaveAppArmor("mine (enforce)\nwith (odd) name (complain)\n");
  EXPECT_EQ(AppArmor(), "none");
  Ask(SecurityProfile::Unconfined);
  EXPECT_EQ(AppArmor(), "unconfined");
  Ask(SecurityProfile::Localhost, "mine");
  EXPECT_EQ(AppArmor(), "mine");
  Ask(SecurityProfile::Localhost, "localhost/with (odd) name");
  EXPECT_EQ(AppArmor(), "with (odd) name");
  Ask(SecurityProfile::Localhost, "absent");
  EXPECT_NE(Error().find("FAILED_PRECONDITION: container web: apparmor: profile \"absent\" is not "
                         "loaded"),
            std::string::npos);
  Ask(SecurityProfile::Localhost, "");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: apparmor.localhost_ref", 0), 0U);
  Ask(SecurityProfile::RuntimeDefault);
  EXPECT_EQ(Error().rfind("FAILED_PRECONDITION: container web: apparmor", 0), 0U) << Error();
  HaveAppArmor("davit-default (enforce)\n");
  EXPECT_EQ(AppArmor(), "davit-default");
  request_.MakePrivileged();
  EXPECT_EQ(AppArmor(), "none");
}

TEST_F(AppArmorTest, OldField) {
  HaveAppArmor("mine (enforce)\ndavit-default (enforce)\n");
  for (const auto& [text, profile] :
       std::vector<std::pair<std::string, std::string>>{{"", "davit-default"},
                                                        {"unconfined", "unconfined"},
                                                        {"localhost/mine", "mine"},
                                                        {"runtime/default", "davit-default"}}) {
    request_.Context().set_apparmor_profile(text);
    EXPECT_EQ(AppArmor(), profile) << text;
  }
  request_.Context().set_apparmor_profile("mine");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: apparmor_profile", 0), 0U);
}

// What is not asked for is not refused, and not left out either.
TEST_F(AppArmorTest, WhoSaysNothingGetsTheDefaultWhereItIsLoaded) {
  HaveAppArmor("mine (enforce)\n");
  EXPECT_EQ(AppArmor(), "none");
  HaveAppArmor("mine (enforce)\ndavit-default (enforce)\n");
  EXPECT_EQ(AppArmor(), "davit-default");
  request_.MakePrivileged();
  EXPECT_EQ(AppArmor(), "none");
}

TEST(AppArmorProfile, IsUnderstoodByTheParser) {
  const std::string text = DefaultAppArmorProfileText();
  EXPECT_EQ(text.find("NAME"), std::string::npos);
  const auto parser = FindProgram("apparmor_parser");
  if (!parser.ok()) {
    GTEST_SKIP() << "apparmor_parser is not installed";
  }
  Context ctx(std::chrono::seconds(60));
  SpawnOptions spawn;
  spawn.argv = {*parser, "--skip-kernel-load", "--skip-cache"};
  spawn.env = MinimalEnv();
  const auto result = davit::Run(ctx, spawn, {.input = text});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit.code, 0) << result->err;
}

}  // namespace
}  // namespace davit::server::spec
