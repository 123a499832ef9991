// SPDX-License-Identifier: Apache-2.0
#include "image/signature/gpg.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "base/file.h"
#include "image/signature/gpg_signer.h"
#include "image/signature/gpg_status.h"
#include "image/signature/signature.h"

namespace davit::image {
namespace {

const std::vector<std::string> kIn2020 = {"--faked-system-time", "20200101T000000"};

class GpgTest : public testing::Test {
 protected:
  absl::StatusOr<std::string> Verify(const std::vector<std::string>& keyrings,
                                     const std::string& message) {
    Context ctx(std::chrono::seconds(60));
    auto keyring = GpgKeyring::Create(ctx, scratch_.path(), keyrings);
    if (!keyring.ok()) {
      return keyring.status();
    }
    return keyring->Verify(ctx, message);
  }
  void ExpectRefused(const std::vector<std::string>& keyrings, const std::string& message,
                     const std::string& says) {
    const auto result = Verify(keyrings, message);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kPermissionDenied) << result.status();
    EXPECT_NE(std::string(result.status().message()).find(says), std::string::npos)
        << result.status();
  }
  void TearDown() override {
    EXPECT_TRUE(ListDir(scratch_.path())->empty()) << "a home directory of gpg stays";
  }

  GpgSigner signer_;
  TempDir scratch_;
};

TEST_F(GpgTest, GivesWhatWasSigned) {
  const std::string key = signer_.MakeKey("signer <s@example.com>");
  const std::string public_key = signer_.Export(key);
  const std::string signature = signer_.Sign(key, "payload\n\x01");
  const auto binary = Verify({public_key}, signature);
  ASSERT_TRUE(binary.ok()) << binary.status();
  EXPECT_EQ(*binary, "payload\n\x01");
  const auto armored = Verify({signer_.Gpg({"--armor", "--export", key})}, signature);
  EXPECT_TRUE(armored.ok()) << armored.status();
  const auto uncompressed =
      Verify({public_key}, signer_.Sign(key, "x", {"--compress-algo", "none"}));
  EXPECT_TRUE(uncompressed.ok()) << uncompressed.status();
}

TEST_F(GpgTest, AnyKeyOfAnyKeyringWillDo) {
  const std::string first = signer_.MakeKey("first <1@example.com>");
  const std::string second = signer_.MakeKey("second <2@example.com>");
  const std::string third = signer_.MakeKey("third <3@example.com>");
  const std::vector<std::string> keyrings = {signer_.Export(first),
                                             signer_.Gpg({"--export", second, third})};
  for (const std::string& key : {first, second, third}) {
    const auto result = Verify(keyrings, signer_.Sign(key, "x"));
    EXPECT_TRUE(result.ok()) << result.status();
  }
}

TEST_F(GpgTest, TheHomeIsForNobodyElse) {
  Context ctx(std::chrono::seconds(60));
  const std::string key = signer_.MakeKey("signer <s@example.com>");
  const auto keyring = GpgKeyring::Create(ctx, scratch_.path(), {signer_.Export(key)});
  ASSERT_TRUE(keyring.ok()) << keyring.status();
  const auto names = ListDir(scratch_.path());
  ASSERT_EQ(names->size(), 1U);
  struct stat info = {};
  ASSERT_EQ(stat((scratch_.path() + "/" + names->front()).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
}

TEST_F(GpgTest, AnotherKey) {
  const std::string trusted = signer_.MakeKey("trusted <t@example.com>");
  const std::string other = signer_.MakeKey("other <o@example.com>");
  ExpectRefused({signer_.Export(trusted)}, signer_.Sign(other, "x"), "not in the keyring");
}

TEST_F(GpgTest, ExpiredKey) {
  const std::string key = signer_.MakeKey("old <o@example.com>", "1d", kIn2020);
  ExpectRefused({signer_.Export(key)}, signer_.Sign(key, "x", kIn2020), "has expired");
}

TEST_F(GpgTest, ExpiredSignature) {
  const std::string key = signer_.MakeKey("old <o@example.com>", "never", kIn2020);
  std::vector<std::string> options = kIn2020;
  options.insert(options.end(), {"--default-sig-expire", "1d"});
  ExpectRefused({signer_.Export(key)}, signer_.Sign(key, "x", options), "signature of key");
}

TEST_F(GpgTest, RevokedKey) {
  const std::string key = signer_.MakeKey("lost <l@example.com>");
  const std::string signature = signer_.Sign(key, "x");
  ASSERT_TRUE(Verify({signer_.Export(key)}, signature).ok());
  signer_.Revoke(key);
  ExpectRefused({signer_.Export(key)}, signature, "was revoked");
}

TEST_F(GpgTest, ChangedContent) {
  const std::string key = signer_.MakeKey("signer <s@example.com>");
  std::string signature = signer_.Sign(key, "the payload", {"--compress-algo", "none"});
  const size_t at = signature.find("payload");
  ASSERT_NE(at, std::string::npos);
  signature[at] = 'P';
  ExpectRefused({signer_.Export(key)}, signature, "was changed");
}

TEST_F(GpgTest, TwoSigners) {
  const std::string first = signer_.MakeKey("first <1@example.com>");
  const std::string second = signer_.MakeKey("second <2@example.com>");
  const std::string both = signer_.Sign(first, "x", {"--local-user", second});
  ExpectRefused({signer_.Gpg({"--export", first, second})}, both, "more than one signature");
  ExpectRefused({signer_.Export(first)}, both, "");
}

TEST_F(GpgTest, WhatIsNoSignedMessage) {
  const std::string key = signer_.MakeKey("signer <s@example.com>");
  const std::string keyring = signer_.Export(key);
  const std::string signature = signer_.Sign(key, "x");
  const std::vector<std::string> local = {"--local-user", key};
  const std::string clear = signer_.Gpg({"--local-user", key, "--clear-sign"}, "x");
  const std::string armored = signer_.Gpg({"--local-user", key, "--armor", "--sign"}, "x");
  const std::string literal = signer_.Gpg({"--store"}, "x");
  const std::string detached = signer_.Gpg({"--local-user", key, "--detach-sign"}, "x");
  const std::string encrypted = signer_.Gpg({"--passphrase", "x", "--symmetric"}, "x");
  for (const std::string& message :
       {std::string(), std::string("{}"), std::string(100, '\0'), std::string("\x80"),
        std::string("\xff\xff\xff\xff"), std::string(1000, '\xa3'), clear, armored, literal,
        detached, encrypted, "\n" + clear, signature.substr(0, signature.size() / 2), keyring}) {
    ExpectRefused({keyring}, message, "");
  }
}

TEST_F(GpgTest, TooLarge) {
  const std::string key = signer_.MakeKey("signer <s@example.com>");
  const std::string keyring = signer_.Export(key);
  ExpectRefused({keyring}, std::string(kMaxSignatureBytes + 1, '\xa3'), "bytes");
  // Small, but what it unpacks to is not.
  ExpectRefused({keyring}, signer_.Sign(key, std::string(kMaxSignatureBytes + 1, 'x')), "");
}

TEST_F(GpgTest, KeyringsThatAreNone) {
  for (const std::string& keyring :
       {std::string(), std::string("no key"), std::string(50, '\x99')}) {
    EXPECT_EQ(Verify({keyring}, "x").status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(GpgTest, EndsWithItsContext) {
  const std::string key = signer_.MakeKey("signer <s@example.com>");
  Context ctx;
  ctx.Cancel();
  const auto keyring = GpgKeyring::Create(ctx, scratch_.path(), {signer_.Export(key)});
  EXPECT_EQ(keyring.status().code(), absl::StatusCode::kCancelled) << keyring.status();
}

TEST_F(GpgTest, NotInstalled) {
  Context ctx(std::chrono::seconds(60));
  const auto result = GpgKeyring::Create(ctx, scratch_.path(), {"x"}, "no-such-gpg");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
  EXPECT_NE(std::string(result.status().message()).find("apt-get install gpg"), std::string::npos);
}

constexpr const char* kGood =
    "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG C49F20C397B425A7 a\n"
    "[GNUPG:] VALIDSIG AA 2026-11-24 1 0 4 0 22 8 00 BB\n";

TEST(GpgStatusTest, OneGoodSignatureOfAKnownKey) {
  EXPECT_TRUE(CheckGoodSignature(kGood, {"BB"}).ok());
  EXPECT_FALSE(CheckGoodSignature(kGood, {"AA"}).ok());
  EXPECT_FALSE(CheckGoodSignature(kGood, {}).ok());
  EXPECT_FALSE(CheckGoodSignature("", {"BB"}).ok());
  EXPECT_FALSE(CheckGoodSignature(std::string(kGood) + kGood, {"BB"}).ok());
  for (const char* bad : {"BADSIG X a", "ERRSIG X", "EXPSIG X", "EXPKEYSIG X", "REVKEYSIG X",
                          "NODATA 1", "UNEXPECTED 0", "NEWSIG", "GOODSIG X"}) {
    EXPECT_FALSE(CheckGoodSignature(kGood + ("[GNUPG:] " + std::string(bad) + "\n"), {"BB"}).ok())
        << bad;
  }
}

TEST(GpgStatusTest, LinesWithoutTheMarkAreNoStatus) {
  EXPECT_FALSE(
      CheckGoodSignature("NEWSIG\nGOODSIG X a\nVALIDSIG AA 1 1 0 4 0 22 8 00 BB\n", {"BB"}).ok());
  EXPECT_FALSE(CheckGoodSignature("[GNUPG:] \n[GNUPG:]\n\n[GNUPG:] VALIDSIG\n", {"BB"}).ok());
}

}  // namespace
}  // namespace davit::image
