// SPDX-License-Identifier: Apache-2.0
// json and digest: parsers of foreign bytes.
#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/json.h"
#include "base/test_util.h"

namespace davit {
namespace {

using nlohmann::json;

TEST(Json, ParsesAndReads) {
  const json value = *ParseJson(R"({"s":"x","i":-3,"b":true,"a":[1],"o":{"k":1},"f":1.5})", "t");
  EXPECT_EQ(JsonString(value, "s"), "x");
  EXPECT_EQ(JsonString(value, "i", "other"), "other");
  EXPECT_EQ(JsonString(value, "none", "other"), "other");
  EXPECT_EQ(JsonInt(value, "i"), -3);
  EXPECT_EQ(JsonInt(value, "f", 7), 7);
  EXPECT_EQ(JsonInt(value, "s", 7), 7);
  EXPECT_TRUE(JsonBool(value, "b"));
  EXPECT_FALSE(JsonBool(value, "s"));
  EXPECT_EQ(JsonChild(value, "a").size(), 1U);
  EXPECT_EQ(JsonInt(JsonChild(value, "o"), "k"), 1);
  EXPECT_TRUE(JsonChild(value, "s").empty());
  EXPECT_EQ(JsonString(JsonChild(JsonChild(value, "x"), "y"), "z", "fallback"), "fallback");
  EXPECT_EQ(JsonString(json::array({1}), "s", "f"), "f");
  EXPECT_EQ(JsonString(json(nullptr), "s", "f"), "f");
}

TEST(Json, IntegersOutOfRangeAreNotCut) {
  const json value = *ParseJson(R"({"u":18446744073709551615,"m":9223372036854775807})", "t");
  EXPECT_EQ(JsonInt(value, "u", -1), -1);
  EXPECT_EQ(JsonInt(value, "m"), INT64_MAX);
}

TEST(Json, RefusesBadText) {
  for (const std::string& bad :
       {std::string(""), std::string("{"), std::string("nul"), std::string("{} x"),
        std::string("\"\xff\""), std::string("[1e999999]"), std::string("{\"a\":1,}"),
        std::string("\0", 1), std::string("\"\\ud800\"")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseJson(bad, "the manifest").status())) << bad;
  }
  const absl::Status status = ParseJson(R"({"auth":"c2VjcmV0", oops})", "auth file").status();
  EXPECT_NE(Message(status).find("auth file"), std::string::npos);
  EXPECT_EQ(Message(status).find("c2Vj"), std::string::npos) << "a secret in an error";
}

TEST(Json, RefusesDepthBombsAndSize) {
  EXPECT_TRUE(absl::IsInvalidArgument(ParseJson(std::string(1'000'000, '['), "b").status()));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) {
    objects += "{\"a\":";
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ParseJson(objects, "b").status()));
  const std::string deep = std::string(128, '[') + std::string(128, ']');
  EXPECT_OK(ParseJson(deep, "b"));
  EXPECT_FALSE(ParseJson("[" + deep + "]", "b").ok());
  EXPECT_OK(ParseJson("\"" + std::string(1000, '[') + "\\\"[[\"", "b"));
  EXPECT_FALSE(ParseJson("[1,2,3]", "b", 6).ok());
  EXPECT_OK(ParseJson("[1,2,3]", "b", 7));
}

TEST(Json, DumpReplacesInvalidUtf8) {
  EXPECT_EQ(DumpJson(json{{"k", "a\xff"}}), "{\"k\":\"a\xef\xbf\xbd\"}");
}

constexpr char kEmptySha256[] =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Digest, ParsesExactForms) {
  const Digest digest = *Digest::Parse(kEmptySha256);
  EXPECT_EQ(digest.algorithm(), "sha256");
  EXPECT_EQ(digest.hex().size(), 64U);
  EXPECT_EQ(digest.text(), kEmptySha256);
  EXPECT_OK(Digest::Parse("sha512:" + std::string(128, 'a')));
  EXPECT_TRUE(Digest().empty());
  EXPECT_EQ(Digest().algorithm(), "");
  EXPECT_EQ(Digest().hex(), "");
}

TEST(Digest, RefusesOthers) {
  const std::string hex(64, 'a');
  for (const std::string& bad :
       {std::string(""), std::string("sha256"), std::string("sha256:"), "sha256:" + hex + "a",
        "sha256:" + hex.substr(1), "sha256:" + std::string(64, 'A'),
        "sha256:" + std::string(64, 'g'), "SHA256:" + hex, "md5:" + std::string(32, 'a'),
        "sha512:" + hex, " sha256:" + hex, "sha256:" + hex + "\n", "sha256:../../" + hex.substr(6),
        "sha256:" + std::string(63, 'a') + '\0', std::string(100'000, ':')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Digest::Parse(bad).status())) << bad;
  }
}

TEST(Digest, HashesWholeAndInPieces) {
  EXPECT_EQ(Digest::Sha256Of("").text(), kEmptySha256);
  const std::string abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(Digest::Sha256Of("abc").text(), abc);
  Hasher hasher;
  const uint8_t bytes[] = {'a', 'b', 'c'};
  hasher.Update(std::span(bytes).first(1));
  hasher.Update({});
  Hasher moved = std::move(hasher);
  moved.Update(std::span(bytes).subspan(1));
  EXPECT_EQ(moved.Finish().text(), abc);
  Hasher sha512("sha512");
  sha512.Update(bytes);
  EXPECT_EQ(sha512.Finish().hex().substr(0, 16), "ddaf35a193617aba");
}

}  // namespace
}  // namespace davit
