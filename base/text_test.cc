// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include "base/id.h"
#include "base/log.h"
#include "base/quantity.h"
#include "base/test_util.h"
#include "base/time.h"

namespace davit {
namespace {

using Strings = std::vector<std::string>;

TEST(Text, SplitsAndJoins) {
  EXPECT_EQ(Split("a,,b", ','), (Strings{"a", "", "b"}));
  EXPECT_EQ(Split("", ','), Strings{""});
  EXPECT_EQ(Split(",", ','), (Strings{"", ""}));
  EXPECT_EQ(Words(" a\t b\n"), (Strings{"a", "b"}));
  EXPECT_TRUE(Words(" \n").empty());
  EXPECT_TRUE(Words("").empty());
  EXPECT_EQ(Join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(Join({}, ", "), "");
  EXPECT_EQ(Trim(" \tx y\r\n"), "x y");
  EXPECT_EQ(Trim("  "), "");
  EXPECT_EQ(Lower("AbZ9-É"), "abz9-É");
}

TEST(Text, NumbersAreWhole) {
  EXPECT_EQ(ParseInt("-12"), -12);
  EXPECT_EQ(ParseInt("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(ParseUint("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", " 1", "1 ", "+1", "0x10", "1.0", "9223372036854775808"}) {
    EXPECT_EQ(ParseInt(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(ParseUint("-1"), std::nullopt);
}

TEST(Text, PrintableEscapesAndCuts) {
  EXPECT_EQ(Printable("plain äöü €"), "plain äöü €");
  EXPECT_EQ(Printable("a\nb\r\t\x1b[31m\x7f"), "a\\nb\\r\\t\\x1b[31m\\x7f");
  EXPECT_EQ(Printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(Printable("\xff\xc3"), "\\xff\\xc3");                    // not UTF-8, cut short
  EXPECT_EQ(Printable("\xc0\x80"), "\\xc0\\x80");                    // overlong
  EXPECT_EQ(Printable("\xe0\x80\x80"), "\\xe0\\x80\\x80");           // overlong
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(Printable("\xc2\x85"), "\\xc2\\x85");                    // a control character
  EXPECT_EQ(Printable("\xe2\x80\xae"), "\\xe2\\x80\\xae");           // turns the text's direction
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond Unicode
  EXPECT_EQ(Printable("\xf0\x9f\x90\xb3"), "\xf0\x9f\x90\xb3");
  EXPECT_EQ(Printable(std::string(500, 'x'), 10), "xxxxxxxxxx...");
  EXPECT_EQ(Printable("exact", 5), "exact");
}

TEST(Time, PrintsAndParsesRfc3339) {
  EXPECT_EQ(Rfc3339Nano(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(Rfc3339Nano(-1), "1969-12-31T23:59:59.999999999Z");
  const int64_t now = NowNanos();
  EXPECT_EQ(*ParseRfc3339(Rfc3339Nano(now)), now);
  EXPECT_EQ(*ParseRfc3339("1970-01-01T01:00:00+01:00"), 0);
  EXPECT_EQ(*ParseRfc3339("1969-12-31t18:30:00.5-05:30"), 500'000'000);
  EXPECT_EQ(*ParseRfc3339("2024-02-29T12:00:00.1234567899Z"),
            *ParseRfc3339("2024-02-29T12:00:00Z") + 123'456'789);
  EXPECT_EQ(*ParseRfc3339("2016-12-31T23:59:60Z"), *ParseRfc3339("2017-01-01T00:00:00Z"));
}

TEST(Time, RefusesWhatIsNoTime) {
  for (const char* bad : {"", "2024", "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z",
                          "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00",
                          "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Zx", "2024-01-01 00:00:00Z",
                          "2024-01-01T00:00:00+24:00", "2024-1-01T00:00:00Z",
                          "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "-024-01-01T00:00:00Z"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseRfc3339(bad).status())) << bad;
  }
}

TEST(Time, HumanForms) {
  constexpr int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(HumanAge(0), "just now");
  EXPECT_EQ(HumanAge(-5 * kSecond), "just now");
  EXPECT_EQ(HumanAge(kSecond), "1 second ago");
  EXPECT_EQ(HumanAge(200 * kSecond), "3 minutes ago");
  EXPECT_EQ(HumanAge(86400 * kSecond * 400), "1 year ago");
  EXPECT_EQ(HumanDuration(999), "999ns");
  EXPECT_EQ(HumanDuration(340'000'000), "340ms");
  EXPECT_EQ(HumanDuration(1'240'000'000), "1.24s");
  EXPECT_EQ(HumanDuration(59'999'999'999), "59.99s");
  EXPECT_EQ(HumanDuration(125 * kSecond), "2m5s");
  EXPECT_EQ(HumanDuration(-kSecond), "-1.00s");
  EXPECT_FALSE(HumanDuration(INT64_MIN).empty());
  EXPECT_EQ(HumanBytes(999), "999 B");
  EXPECT_EQ(HumanBytes(1200), "1.2 kB");
  EXPECT_EQ(HumanBytes(999'999), "1.0 MB");
  EXPECT_EQ(HumanBytes(1'234'000'000), "1.2 GB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "18.4 EB");
}

TEST(Id, NewIdsAreHexAndDiffer) {
  const std::string id = NewId();
  EXPECT_EQ(id.size(), kIdLength);
  EXPECT_TRUE(IsLowerHex(id));
  EXPECT_NE(id, NewId());
  EXPECT_EQ(ShortId(id), id.substr(0, 12));
  EXPECT_EQ(ShortId("abc"), "abc");
  EXPECT_FALSE(IsLowerHex("ABC"));
  EXPECT_FALSE(IsLowerHex("g"));
  const uint8_t bytes[] = {0x00, 0xab, 0xff};
  EXPECT_EQ(HexEncode(bytes), "00abff");
  EXPECT_EQ(BootId().size(), 36U);
}

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { log::SetLevel(log::Level::kInfo); }
};

TEST_F(LogTest, OneEscapedLineAnEvent) {
  testing::internal::CaptureStderr();
  log::Info("sandbox {}: evil\nforged line", "1a2b");
  log::Debug("not shown");
  log::IfError(absl::OkStatus(), "nothing");
  log::IfError(NotFound("gone"), "clean up x");
  const std::string text = testing::internal::GetCapturedStderr();
  const Strings lines = Split(text, '\n');
  ASSERT_EQ(lines.size(), 3U) << text;
  EXPECT_NE(lines[0].find("Z info    sandbox 1a2b: evil\\nforged line"), std::string::npos) << text;
  EXPECT_OK(ParseRfc3339(lines[0].substr(0, lines[0].find(' '))));
  EXPECT_NE(lines[1].find("warning clean up x: gone"), std::string::npos) << text;
}

TEST_F(LogTest, LevelsByName) {
  EXPECT_OK(log::SetLevelByName("error"));
  EXPECT_FALSE(log::Enabled(log::Level::kWarning));
  EXPECT_OK(log::SetLevelByName("trace"));
  EXPECT_TRUE(log::Enabled(log::Level::kTrace));
  const absl::Status status = log::SetLevelByName("loud");
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("warning"), std::string::npos);
}

TEST(Quantity, AsKubernetesWritesThem) {
  EXPECT_EQ(ParseQuantity("0"), 0U);
  EXPECT_EQ(ParseQuantity("1073741824"), 1073741824U);
  EXPECT_EQ(ParseQuantity("10Gi"), uint64_t{10} << 30U);
  EXPECT_EQ(ParseQuantity("3Ki"), 3072U);
  EXPECT_EQ(ParseQuantity("500M"), 500'000'000U);
  EXPECT_EQ(ParseQuantity("2k"), 2000U);
  for (const char* bad : {"", "G", "-1", "1.5Gi", "1 Gi", "1gi", "1Gib", "1ki", "1K", "10E",
                          "9223372036854775808", "9007199254740993Ki", "1i"}) {
    EXPECT_EQ(ParseQuantity(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace davit
