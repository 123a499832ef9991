// SPDX-License-Identifier: Apache-2.0
#include "image/auth/login.h"

#include <gtest/gtest.h>
namespace davit::image {
namespace {

TEST(LoginTest, ComesFromFieldsOrFromBase64) {
  EXPECT_EQ(LoginOf({.username = "u", .password = "p"})->password, "p");
  const auto login = LoginOf({.auth = "dXNlcjpwYTpzcw=="});  // user:pa:ss
  ASSERT_TRUE(login.ok()) << login.status();
  EXPECT_EQ(login->username, "user");
  EXPECT_EQ(login->password, "pa:ss");
  EXPECT_EQ(BasicHeader(*login), "Basic dXNlcjpwYTpzcw==");
  EXPECT_EQ(LoginOf({.auth = "dTpwAAAA"})->password, "p");  // padded with zero bytes
  EXPECT_TRUE(LoginOf({})->username.empty());
}

TEST(LoginTest, BadBase64IsRefusedWithoutBeingShown) {
  for (const char* auth : {"secret!", "c2VjcmV0"}) {  // not base64; "secret" without a colon
    const auto login = LoginOf({.auth = auth});
    ASSERT_FALSE(login.ok());
    EXPECT_EQ(login.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(login.status().message()).find(auth), std::string::npos);
  }
}

TEST(FingerprintTest, TellsCredentialsApartAndShowsNone) {
  EXPECT_EQ(Fingerprint({}), "");
  const std::string one = Fingerprint({.username = "ab", .password = "c"});
  EXPECT_NE(one, Fingerprint({.username = "a", .password = "bc"}));
  EXPECT_EQ(one, Fingerprint({.username = "ab", .password = "c"}));
  EXPECT_EQ(one.size(), 64U);
}

}  // namespace
}  // namespace davit::image
