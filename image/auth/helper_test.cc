// SPDX-License-Identifier: Apache-2.0
#include "image/auth/helper.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include <gtest/gtest.h>

#include "image/test_util.h"

namespace davit::image {
namespace {

class HelperTest : public testing::Test {
 protected:
  HelperTest() { setenv("PATH", (dir_.path() + ":" + old_path_).c_str(), 1); }
  ~HelperTest() override { setenv("PATH", old_path_.c_str(), 1); }
  HelperTest(const HelperTest&) = delete;
  HelperTest& operator=(const HelperTest&) = delete;

  void Script(const std::string& name, const std::string& body) {
    const std::string path = dir_.path() + "/docker-credential-" + name;
    std::ofstream(path) << "#!/bin/sh\n" << body;
    chmod(path.c_str(), 0755);
  }

  Context ctx_;
  TempDir dir_;
  const std::string old_path_ = getenv("PATH");
};

TEST_F(HelperTest, GivesWhatItPrints) {
  Script("ok", R"(read server
[ "$1" = get ] || exit 3
printf '{"ServerURL":"%s","Username":"u-%s","Secret":"s3cret"}\n' "$server" "$server")");
  const auto found = AskHelper(ctx_, "ok", "quay.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->username, "u-quay.example");
  EXPECT_EQ(found->password, "s3cret");
}

TEST_F(HelperTest, TokenUserMeansAnIdentityToken) {
  Script("token", R"(cat >/dev/null; echo '{"Username":"<token>","Secret":"refresh"}')");
  const auto found = AskHelper(ctx_, "token", "quay.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->identity_token, "refresh");
  EXPECT_EQ(found->username, "");
}

TEST_F(HelperTest, NothingKnownIsNoError) {
  Script("none", "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1");
  const auto found = AskHelper(ctx_, "none", "quay.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->empty());
}

TEST_F(HelperTest, FailuresNameTheHelperAndShowNoSecret) {
  Script("fails", R"(cat >/dev/null; echo 'hunter2 went wrong'; echo hunter2 >&2; exit 1)");
  Script("garbage", R"(cat >/dev/null; echo '{"Username":"u","Secret":hunter2')");
  Script("dies", "kill -KILL $$");
  for (const char* name :
       {"fails", "garbage", "dies", "missing", "../../bin/sh", "a/b", "", "-x"}) {
    const auto found = AskHelper(ctx_, name, "quay.example");
    ASSERT_FALSE(found.ok()) << name;
    EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition) << found.status();
    const std::string message = found.status().ToString();
    EXPECT_NE(message.find("credential"), std::string::npos) << message;
    EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
  }
}

TEST_F(HelperTest, EndsWithItsContext) {
  Script("hangs", "sleep 1000");
  Context brief(std::chrono::milliseconds(50));
  const auto found = AskHelper(brief, "hangs", "quay.example");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kDeadlineExceeded) << found.status();
}

}  // namespace
}  // namespace davit::image
