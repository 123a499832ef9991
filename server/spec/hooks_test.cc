// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

class HooksTest : public testing::Test {
 protected:
  HooksTest() { request_.host.hooks_dirs = {dir_.MakeDir("usr"), dir_.path() + "/etc"}; }

  void Write(const std::string& name, const std::string& when,
             const std::string& path = "/bin/true") {
    dir_.Write(name, R"({"version":"1.0.0","hook":{"path":")" + path +
                         R"(","args":["true","a"],"timeout":5},"when":)" + when +
                         R"(,"stages":["prestart","poststop"]})");
  }
  size_t Count() { return request_.Config()["hooks"]["prestart"].size(); }
  std::string Error() { return Text(request_.Error()); }

  TempDir dir_;
  TestRequest request_;
};

TEST_F(HooksTest, AreAddedToTheirStages) {
  EXPECT_FALSE(request_.Config().contains("hooks"));
  Write("usr/10-a.json", R"({"always":true})");
  Write("usr/not-a-hook.txt", "}");
  const Json hooks = request_.Config()["hooks"];
  ASSERT_EQ(hooks["prestart"].size(), 1U);
  EXPECT_EQ(hooks["prestart"][0]["path"], "/bin/true");
  EXPECT_EQ(hooks["prestart"][0]["timeout"], 5);
  EXPECT_EQ(hooks["poststop"].size(), 1U);
  Write("etc/10-a.json", R"({"always":false})");
  EXPECT_EQ(Count(), 0U) << "of one name the later directory counts";
}

TEST_F(HooksTest, ConditionsAllHaveToHold) {
  Write("usr/a.json", R"({"commands":["^/entry$"],"annotations":{"^hook/.*$":"^yes"}})");
  EXPECT_EQ(Count(), 0U);
  (*request_.sandbox.mutable_annotations())["hook/x"] = "yes, please";
  EXPECT_EQ(Count(), 1U);
  (*request_.container.mutable_annotations())["hook/x"] = "no";
  EXPECT_EQ(Count(), 0U) << "the container's own annotation counts";
  (*request_.container.mutable_annotations())["hook/x"] = "yes";
  request_.container.add_command("/other");
  EXPECT_EQ(Count(), 0U);
  Write("usr/a.json", R"({"hasBindMounts":true})");
  EXPECT_EQ(Count(), 0U);
  auto* mount = request_.container.add_mounts();
  mount->set_host_path("/tmp");
  mount->set_container_path("/data");
  EXPECT_EQ(Count(), 1U);
  Write("usr/a.json", "{}");
  EXPECT_EQ(Count(), 0U) << "without a condition it never runs";
}

TEST_F(HooksTest, ABrokenFileStopsTheContainer) {
  for (const auto& [when, path] :
       {std::pair(R"({"phase":"moon"})", "/bin/true"), std::pair(R"({"always":true})", "relative"),
        std::pair(R"({"always":true})", "/no/such/hook"),
        std::pair(R"({"commands":["("]})", "/bin/true"), std::pair("{", "/bin/true")}) {
    Write("usr/a.json", when, path);
    EXPECT_EQ(
        Error().rfind(
            "FAILED_PRECONDITION: container web: OCI hook " + dir_.path() + "/usr/a.json: ", 0),
        0U)
        << Error();
  }
  dir_.Write("usr/a.json", R"({"version":"0.1.0","hook":"/bin/true","stages":["prestart"]})");
  EXPECT_NE(Error().find("version \"0.1.0\""), std::string::npos);
}

TEST_F(HooksTest, RegularExpressionsCannotExhaustTheStack) {
  Write("usr/a.json", R"({"annotations":{"long":"(a|b)*c"}})");
  (*request_.container.mutable_annotations())["long"] = std::string(1 << 20, 'a');
  EXPECT_EQ(Count(), 0U);
}

}  // namespace
}  // namespace davit::server::spec
