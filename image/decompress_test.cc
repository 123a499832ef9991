// SPDX-License-Identifier: Apache-2.0
#include "image/decompress.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/status.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

absl::StatusOr<std::string> Unpack(const std::string& input, size_t portion) {
  std::string out;
  auto decompressor = Decompressor::Create([&out](std::span<const uint8_t> bytes) {
    EXPECT_FALSE(bytes.empty());
    EXPECT_LE(bytes.size(), 1U << 20U);
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  });
  for (size_t at = 0; at < input.size(); at += portion) {
    RETURN_IF_ERROR(
        decompressor->Write(Bytes(input).subspan(at, std::min(portion, input.size() - at))));
  }
  RETURN_IF_ERROR(decompressor->Finish());
  return out;
}

void ExpectAllPortions(const std::string& input, const std::string& wanted) {
  for (const size_t portion : {1, 2, 3, 5, 7, 13, 100, 1000, 65536, 10'000'000}) {
    const auto out = Unpack(input, portion);
    ASSERT_TRUE(out.ok()) << out.status() << " portion " << portion;
    ASSERT_TRUE(*out == wanted) << "portion " << portion;
  }
}

const std::string& Sample() {
  static const std::string& sample =
      *new std::string(Noise(70000, 1) + std::string(400000, 'x') + Noise(1000, 2));
  return sample;
}

TEST(DecompressTest, PlainGzipAndZstdInAnyPortions) {
  ExpectAllPortions(Sample(), Sample());
  ExpectAllPortions(Gzip(Sample()), Sample());
  ExpectAllPortions(Zstd(Sample()), Sample());
}

TEST(DecompressTest, SmallAndEmptyInputs) {
  for (const char* text : {"", "a", "abc", "abcd"}) {
    ExpectAllPortions(text, text);
    ExpectAllPortions(Gzip(text), text);
    ExpectAllPortions(Zstd(text), text);
  }
}

TEST(DecompressTest, ManyMembersAndFrames) {
  std::string gzip;
  std::string zstd;
  std::string wanted;
  for (unsigned i = 0; i < 40; ++i) {
    const std::string part = i % 5 == 0 ? "" : Noise(i * 97, i) + std::string(i * 1000, 'y');
    gzip += Gzip(part);
    zstd += Zstd(part);
    wanted += part;
  }
  ExpectAllPortions(gzip, wanted);
  ExpectAllPortions(zstd, wanted);
  ExpectAllPortions(gzip + std::string(1000, '\0'), wanted);  // padded
}

TEST(DecompressTest, SkippableFramesOfZstd) {
  const std::string skippable(
      "\x50\x2a\x4d\x18\x03\x00\x00\x00"
      "abc",
      11);
  ExpectAllPortions(skippable + Zstd(Sample()) + skippable, Sample());
}

TEST(DecompressTest, EndsWithoutInputAndMuchOutput) {
  // One block of output after the last input byte: the decoder holds more than one buffer.
  const std::string big(20'000'000, 'z');
  EXPECT_TRUE(*Unpack(Gzip(big), 1 << 20) == big);
  EXPECT_TRUE(*Unpack(Zstd(big), 1 << 20) == big);
}

TEST(DecompressTest, TruncatedStreamIsDataLoss) {
  for (const std::string& whole : {Gzip(Sample()), Zstd(Sample()), Gzip("abc"), Zstd("abc")}) {
    for (size_t length = 4; length < whole.size(); length += 1 + whole.size() / 97) {
      const auto out = Unpack(whole.substr(0, length), 1000);
      ASSERT_FALSE(out.ok()) << length << " of " << whole.size();
      EXPECT_EQ(out.status().code(), absl::StatusCode::kDataLoss) << out.status();
    }
    EXPECT_FALSE(Unpack(whole.substr(0, whole.size() - 1), 1000).ok());
  }
  // The second member is cut.
  EXPECT_TRUE(absl::IsDataLoss(Unpack(Gzip("abc") + Gzip("def").substr(0, 9), 1000).status()));
}

TEST(DecompressTest, GarbageAfterTheEndIsAnError) {
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack(Gzip("abc") + "garbage garbage", 1000).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(Unpack(Gzip("abc") + std::string(10, '\0') + Gzip("d"), 7).status()));
  EXPECT_FALSE(Unpack(Zstd("abc") + "garbage garbage", 1000).ok());
}

TEST(DecompressTest, DamageIsFound) {
  for (const std::string& whole : {Gzip(Sample()), Zstd(Sample())}) {
    for (size_t at = 20; at < whole.size(); at += whole.size() / 50) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
      const auto out = Unpack(damaged, 4096);
      // zstd's checksum is optional: then the digest of the blob has to find it.
      EXPECT_TRUE(!out.ok() || *out != Sample() || whole[0] != '\x1f') << at;
      if (whole[0] == '\x1f') {
        EXPECT_FALSE(out.ok()) << at;
      }
    }
  }
}

TEST(DecompressTest, OtherCompressionsAreNamed) {
  for (const std::string& bytes : {std::string("BZh91AY&SY"), std::string("\xFD"
                                                                          "7zXZ\0\0",
                                                                          7)}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(Unpack(bytes, 100).status()));
  }
}

TEST(DecompressTest, HugeZstdWindowIsRefused) {
  // Magic, descriptor without single segment, window of 2^31.
  const std::string frame("\x28\xB5\x2F\xFD\x00\xA8\x01\x00\x00", 9);
  EXPECT_TRUE(absl::IsResourceExhausted(Unpack(frame, 100).status()));
}

TEST(DecompressTest, ErrorOfTheSinkEndsIt) {
  for (const std::string& input : {Sample(), Gzip(Sample()), Zstd(Sample())}) {
    auto decompressor = Decompressor::Create(
        [](std::span<const uint8_t>) { return ResourceExhausted("disk full"); });
    EXPECT_TRUE(absl::IsResourceExhausted(decompressor->Write(Bytes(input))));
  }
}

}  // namespace
}  // namespace davit::image
