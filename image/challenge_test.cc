// SPDX-License-Identifier: Apache-2.0
#include "image/challenge.h"

#include <gtest/gtest.h>

namespace davit::image {
namespace {

TEST(ChallengeTest, ReadsBearer) {
  const auto found = ParseChallenges(
      R"(Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push")");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].scheme, "bearer");
  EXPECT_EQ(found[0].parameters.at("realm"), "https://auth.example/token");
  EXPECT_EQ(found[0].parameters.at("service"), "r.example");
  EXPECT_EQ(found[0].parameters.at("scope"), "repository:a/b:pull,push");
}

TEST(ChallengeTest, ReadsSeveralOfOneHeader) {
  const auto found = ParseChallenges(R"(Negotiate, Basic Realm = "x \"y\"" , BEARER realm=z)");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].scheme, "negotiate");
  EXPECT_EQ(found[1].scheme, "basic");
  EXPECT_EQ(found[1].parameters.at("realm"), "x \"y\"");
  EXPECT_EQ(found[2].parameters.at("realm"), "z");
}

TEST(ChallengeTest, SurvivesGarbage) {
  for (const char* text : {"", " ", ",,,", "=", "\"", "\"\"", "Bearer", "Bearer realm",
                           "Bearer realm=", "Bearer realm=\"", "Bearer realm=\"x\\", "=x,=y",
                           "Bearer ===", "Bearer a=\"b\"c=\"d\"", "\xff\xfe\xfd"}) {
    for (const auto& challenge : ParseChallenges(text)) {
      EXPECT_FALSE(challenge.scheme.empty()) << text;
    }
  }
  EXPECT_LE(ParseChallenges(std::string(100000, ',') + "a,b,c").size(), 3U);
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += "scheme" + std::to_string(i) + ",";
  }
  EXPECT_LE(ParseChallenges(many).size(), 16U);
}

TEST(ChallengeTest, FirstValueOfAParameterCounts) {
  const auto found = ParseChallenges("Bearer realm=a,realm=b");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].parameters.at("realm"), "a");
}

}  // namespace
}  // namespace davit::image
