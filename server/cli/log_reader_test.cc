// SPDX-License-Identifier: Apache-2.0
#include "server/cli/log_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/subprocess.h"
#include "base/test_util.h"

namespace davit::server::cli {
namespace {

namespace fs = std::filesystem;

TEST(ParseLogLine, TakesWhatIsOneAndNothingElse) {
  const auto line = ParseLogLine("2026-01-02T03:04:05.000000006Z stderr P half a");
  ASSERT_TRUE(line);
  EXPECT_TRUE(line->is_stderr);
  EXPECT_TRUE(line->partial);
  EXPECT_EQ(line->text, "half a");
  EXPECT_EQ(line->time_ns % 1000, 6);
  EXPECT_EQ(ParseLogLine("2026-01-02T03:04:05Z stdout F")->text, "");
  EXPECT_EQ(ParseLogLine("2026-01-02T03:04:05Z stdout F  two")->text, " two");
  for (const char* bad : {"", " ", "hello", "2026-01-02T03:04:05Z stdout", "x stdout F text",
                          "2026-01-02T03:04:05Z stdin F text", "2026-01-02T03:04:05Z stdout Q x"}) {
    EXPECT_FALSE(ParseLogLine(bad)) << bad;
  }
}

class LogReaderTest : public testing::Test {
 protected:
  void Write(const std::string& text) {
    const auto fd = davit::Open(path_, O_WRONLY | O_CREAT | O_APPEND);
    ASSERT_TRUE(fd.ok());
    ASSERT_TRUE(WriteFd(fd->get(), text, path_).ok());
  }
  // As the kubelet names it.
  std::string Rotate(bool compress = false) {
    std::string rotated = path_ + ".20260102-" + std::to_string(100000 + rotations_++);
    fs::rename(path_, rotated);
    if (compress) {
      Context ctx(std::chrono::seconds(30));
      EXPECT_EQ(davit::Run(ctx, {.argv = {*FindProgram("gzip"), rotated}, .env = MinimalEnv()})
                    ->exit.code,
                0);
    }
    return rotated;
  }
  static std::string All(LogReader& reader) {
    std::string text;
    while (true) {
      const auto lines = reader.Next();
      EXPECT_TRUE(lines.ok()) << lines.status();
      if (!lines.ok() || lines->empty()) {
        return text;
      }
      for (const std::string& line : *lines) {
        text += line + "\n";
      }
    }
  }
  std::string Tail(uint64_t lines) {
    auto reader = LogReader::OpenTail(path_, lines);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return All(*reader);
  }

  test::TempDir dir_;
  const std::string path_ = dir_ / "0.log";
  int rotations_ = 0;
};

TEST_F(LogReaderTest, BeginsWithTheOldestFile) {
  Write("1\n2\n");
  Rotate(true);
  Write("3\n");
  Rotate(true);
  Write("4\n5\n");
  Rotate();
  Write("6\nhalf");
  fs::copy_file(path_, path_ + ".20260102-999999.tmp");
  fs::copy_file(path_, path_ + ".1");
  auto reader = LogReader::Open(path_);
  EXPECT_EQ(All(*reader), "1\n2\n3\n4\n5\n6\n");
  Write(" line\n7\n");
  EXPECT_EQ(All(*reader), "half line\n7\n");
}

TEST_F(LogReaderTest, TheTailReachesIntoRotatedFiles) {
  EXPECT_EQ(LogReader::OpenTail(path_, 3).status().code(), absl::StatusCode::kNotFound);
  Write("1\n2\n3\n");
  Rotate(true);
  Write("4\n5\n");
  Rotate();
  Write("6\n");
  const std::string all = "1\n2\n3\n4\n5\n6\n";
  for (uint64_t lines = 0; lines < 8; ++lines) {
    EXPECT_EQ(Tail(lines), all.substr(all.size() - 2 * std::min<uint64_t>(lines, 6))) << lines;
  }
  auto end = LogReader::OpenTail(path_, 0);
  Write("7\n");
  EXPECT_EQ(All(*end), "7\n");
  fs::remove(path_);
  EXPECT_EQ(Tail(1), "5\n") << "while the writer has not yet made the new file";
}

// What was rotated will not be completed: a last line without a newline is one.
TEST_F(LogReaderTest, TheTailKnowsLinesThatBrokeOff) {
  for (const bool compressed : {false, true}) {
    Write("1\n2\nhalf");
    Rotate(compressed);
    Write("3\nnot yet");
    const std::string all = "1\n2\nhalf\n3\n";
    EXPECT_EQ(Tail(100), all);
    EXPECT_EQ(Tail(1), "3\n");
    EXPECT_EQ(Tail(2), "half\n3\n");
    EXPECT_EQ(Tail(3), "2\nhalf\n3\n");
    for (const RotatedLog& log : RotatedLogs(path_)) {
      fs::remove(log.path);
    }
    fs::remove(path_);
  }
}

TEST_F(LogReaderTest, FindsTheTailOfLargeFiles) {
  std::string text;
  for (int i = 0; i < 20000; ++i) {
    text += std::to_string(i) + std::string(static_cast<size_t>(i % 50), 'x') + "\n";
  }
  Write(text);
  EXPECT_EQ(Tail(100000), text);
  size_t begin = text.size();
  for (int i = 0; i < 15000; ++i) {
    begin = text.rfind('\n', begin - 2) + 1;
  }
  EXPECT_EQ(Tail(15000), text.substr(begin));
}

TEST_F(LogReaderTest, FollowsRotations) {
  Write("1\n");
  auto reader = LogReader::Open(path_);
  EXPECT_EQ(All(*reader), "1\n");
  const std::string rotated = Rotate();
  EXPECT_EQ(All(*reader), "");
  {  // the writer does not know yet
    const auto old = davit::Open(rotated, O_WRONLY | O_APPEND);
    ASSERT_TRUE(WriteFd(old->get(), "2\n", rotated).ok());
  }
  EXPECT_EQ(All(*reader), "2\n");
  Write("3\n");
  EXPECT_EQ(All(*reader), "3\n");
  // Several at once.
  Write("4\n");
  Rotate();
  Write("5\n");
  Rotate();
  Write("6\n");
  Rotate();
  Write("7\n");
  EXPECT_EQ(All(*reader), "4\n5\n6\n7\n");
  Write("8\n");
  Rotate(true);  // gone under its name, and its inode with it
  Write("9\n");
  EXPECT_EQ(All(*reader), "8\n9\n");
  Write("10\n");
  EXPECT_EQ(All(*reader), "10\n");
}

TEST_F(LogReaderTest, ATruncatedFileBeginsAnew) {
  Write("1\n2\n3\n");
  auto reader = LogReader::Open(path_);
  EXPECT_EQ(All(*reader), "1\n2\n3\n");
  fs::resize_file(path_, 0);
  Write("4\n");
  EXPECT_EQ(All(*reader), "4\n");
}

TEST_F(LogReaderTest, WhatCannotBeUnpackedIsToldAndTheRestIsRead) {
  Write(std::string(100000, 'a') + "\n1\n");
  const std::string rotated = Rotate(true) + ".gz";
  fs::resize_file(rotated, fs::file_size(rotated) / 2);
  Write("2\n");
  auto reader = LogReader::Open(path_);
  const std::string text = All(*reader);
  EXPECT_NE(text.find("cannot be read on"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\n2\n"));
  EXPECT_EQ(Tail(1), "2\n");
}

TEST_F(LogReaderTest, OldFilesAreLeftOutWithoutReadingThem) {
  Write("1\n");
  const std::string rotated = Rotate();
  fs::last_write_time(rotated, fs::file_time_type::clock::now() - std::chrono::hours(2));
  Write("2\n");
  auto reader = LogReader::Open(
      path_, std::chrono::duration_cast<std::chrono::nanoseconds>(
                 (std::chrono::system_clock::now() - std::chrono::hours(1)).time_since_epoch())
                 .count());
  EXPECT_EQ(All(*reader), "2\n");
}

// A writer that rotates at random moments, and a reader that looks at random moments.
TEST_F(LogReaderTest, NothingIsLostOrDoubledOverRandomRotations) {
  std::mt19937 random(11);
  std::string expected;
  std::string seen;
  Write("begin\n");
  auto reader = LogReader::Open(path_);
  expected = "begin\n";
  for (int i = 0; i < 3000; ++i) {
    const std::string text = std::to_string(i) + (random() % 3 == 0 ? "" : "\n");
    Write(text);
    expected += text;
    if (random() % 20 == 0 && expected.ends_with('\n')) {
      Rotate();
      Write("");
    }
    if (random() % 7 == 0) {
      seen += All(*reader);
    }
  }
  Write("\n");
  seen += All(*reader);
  EXPECT_TRUE(seen == expected + "\n") << seen.size() << " of " << expected.size();
}

}  // namespace
}  // namespace davit::server::cli
