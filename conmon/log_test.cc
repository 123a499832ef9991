// SPDX-License-Identifier: Apache-2.0
#include "conmon/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "conmon/journal.h"
#include "conmon/log_format.h"
#include "conmon/options.h"
#include "conmon/rate_limit.h"
#include "conmon/stream.h"
#include "conmon/text.h"

namespace davit::conmon {
namespace {

std::string Str(Text text) {
  return std::string(text.data, text.size);
}

std::string Header(int64_t seconds, long nanos, const char* stream, bool full) {
  return Str(EntryHeader(timespec{seconds, nanos}, stream, full).text());
}

TEST(EntryHeader, FormatsTimeStreamAndTag) {
  EXPECT_EQ(Header(0, 0, "stdout", true), "1970-01-01T00:00:00.000000000Z stdout F ");
  EXPECT_EQ(Header(951868799, 1, "stderr", false), "2000-02-29T23:59:59.000000001Z stderr P ");
  EXPECT_EQ(Header(4102444799, 999999999, "stdout", true),
            "2099-12-31T23:59:59.999999999Z stdout F ");
}

TEST(EntryHeader, AgreesWithTheLibraryOnEveryDay) {
  for (time_t day = 0; day < 60000; ++day) {
    const time_t seconds = day * 86400 + day % 86400;
    tm parts = {};
    gmtime_r(&seconds, &parts);
    char expected[64];
    strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000000Z stdout F ", &parts);
    ASSERT_EQ(Header(seconds, 0, "stdout", true), expected);
  }
}

TEST(NextEntry, CutsAtNewlinesAndAtTheLimit) {
  Entry entry = {{"", 0}, false};
  ASSERT_TRUE(NextEntry("ab\ncd", 4, &entry));
  EXPECT_EQ(Str(entry.content), "ab");
  EXPECT_TRUE(entry.full);
  EXPECT_EQ(EntrySpan(entry), 3U);
  EXPECT_FALSE(NextEntry("cd", 4, &entry));
  EXPECT_FALSE(NextEntry("cdef", 4, &entry)) << "a newline may follow and make it a full line";
  ASSERT_TRUE(NextEntry("cdef\n", 4, &entry));
  EXPECT_EQ(Str(entry.content), "cdef");
  EXPECT_TRUE(entry.full);
  ASSERT_TRUE(NextEntry("cdefg", 4, &entry));
  EXPECT_EQ(Str(entry.content), "cdef");
  EXPECT_FALSE(entry.full);
  ASSERT_TRUE(NextEntry("\n", 4, &entry));
  EXPECT_EQ(EntrySpan(entry), 1U);
  EXPECT_FALSE(NextEntry({"", 0}, 4, &entry));
}

TEST(Text, ParsesNumbers) {
  uint64_t value = 0;
  EXPECT_TRUE(ParseNumber(" 42\n", &value));
  EXPECT_EQ(value, 42U);
  EXPECT_TRUE(ParseNumber("18446744073709551615", &value));
  EXPECT_EQ(value, UINT64_MAX);
  for (const char* bad : {"", " ", "-1", "4x", "x", "1 2", "18446744073709551616"}) {
    EXPECT_FALSE(ParseNumber(bad, &value)) << bad;
  }
}

TEST(Text, FindsKeysOfCgroupFiles) {
  uint64_t value = 0;
  EXPECT_TRUE(FindKeyed("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", "oom_kill", &value));
  EXPECT_EQ(value, 7U);
  EXPECT_TRUE(FindKeyed("low 0\noom 3\noom_kill 2\noom_group_kill 0\n", "oom_kill", &value));
  EXPECT_EQ(value, 2U);
  EXPECT_FALSE(FindKeyed("oom_kill", "oom_kill", &value));
  EXPECT_FALSE(FindKeyed("", "oom_kill", &value));
}

TEST(Text, FindsStatFieldsBehindAnyCommand) {
  const char* stat = "7 (a) b ( 9) S 1 2 3 4 5";
  uint64_t value = 0;
  EXPECT_TRUE(StatField(stat, 4, &value));
  EXPECT_EQ(value, 1U);
  EXPECT_TRUE(StatField(stat, 8, &value));
  EXPECT_EQ(value, 5U);
  EXPECT_FALSE(StatField(stat, 9, &value));
  EXPECT_FALSE(StatField("7", 4, &value));
}

TEST(Text, FixedTextCutsAndSaysSo) {
  FixedText<6> text;
  text << "ab" << uint64_t{12};
  EXPECT_FALSE(text.truncated());
  text << "cd";
  EXPECT_TRUE(text.truncated());
  EXPECT_STREQ(text.c_str(), "ab12c");
}

TEST(Options, NeedsTheRequiredAndRefusesTheUnknown) {
  auto parse = [](std::vector<std::string> words, Options* options) {
    static std::vector<std::string> kept;
    kept = std::move(words);
    std::vector<char*> argv;
    for (std::string& word : kept) {
      argv.push_back(word.data());
    }
    const char* failure = ParseOptions(static_cast<int>(argv.size()), argv.data(), options);
    return std::string(failure == nullptr ? "" : failure);
  };
  const std::vector<std::string> good = {
      "davit-conmon",   "--id", "a",     "--run-dir",  "/r", "--bundle", "/b", "--runtime", "/crun",
      "--runtime-root", "/s",   "--tty", "--max-line", "10"};
  Options options;
  EXPECT_EQ(parse(good, &options), "");
  EXPECT_TRUE(options.tty);
  EXPECT_FALSE(options.stdin_open);
  EXPECT_EQ(options.max_line, 10U);
  EXPECT_EQ(options.cpu, UINT64_MAX);
  std::vector<std::string> pinned = good;
  pinned.insert(pinned.end(), {"--cpu", "8191"});
  EXPECT_EQ(parse(pinned, &options), "");
  EXPECT_EQ(options.cpu, 8191U);
  pinned.back() = "8192";
  EXPECT_NE(parse(pinned, &options), "");
  Options other;
  EXPECT_NE(parse({"davit-conmon"}, &other), "");
  for (const std::vector<std::string>& extra : {std::vector<std::string>{"--nope"},
                                                {"--nope", "1"},
                                                {"--max-line", "0"},
                                                {"--max-line", "x"},
                                                {"--log-path"}}) {
    std::vector<std::string> words = good;
    words.insert(words.end(), extra.begin(), extra.end());
    EXPECT_NE(parse(words, &other), "") << extra[0];
  }
}

class StreamTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/conmon_test.XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    dir_ = pattern;
    log_path_ = dir_ + "/log";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void Open(Stream& stream, size_t max_line) {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    writer_.Reset(fds[1]);
    ASSERT_EQ(stream.Open("stdout", Fd(fds[0]), max_line), 0);
    ASSERT_EQ(log_.file.Open(log_path_.c_str()), 0);
  }

  [[nodiscard]] std::string Contents(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  // The stream's bytes as the log tells them.
  static std::string Replay(const std::string& log, size_t max_line) {
    std::string bytes;
    size_t position = 0;
    const size_t header = strlen("1970-01-01T00:00:00.000000000Z stdout F ");
    while (position < log.size()) {
      const size_t end = log.find('\n', position);
      EXPECT_NE(end, std::string::npos);
      const std::string line = log.substr(position, end - position);
      EXPECT_GE(line.size(), header);
      EXPECT_LE(line.size() - header, max_line);
      const char tag = line[header - 2];
      EXPECT_TRUE(tag == 'F' || tag == 'P') << line;
      bytes += line.substr(header);
      bytes += tag == 'F' ? "\n" : "";
      position = end + 1;
    }
    return bytes;
  }

  std::string dir_;
  std::string log_path_;
  Fd writer_;
  Log log_;
};

TEST_F(StreamTest, AllEntriesTogetherAreTheInput) {
  std::mt19937 random(7);
  for (const size_t max_line : {size_t{1}, size_t{7}, size_t{16384}, size_t{100000}}) {
    log_path_ = dir_ + "/log" + std::to_string(max_line);
    Stream stream;
    Open(stream, max_line);
    std::string input;
    for (int i = 0; i < 300; ++i) {
      std::string chunk(random() % (max_line * 2 < 5000 ? max_line * 20 : 40000), '\0');
      for (char& c : chunk) {
        const auto value = random() % 64;
        c = value == 0 ? '\n' : static_cast<char>(random());
      }
      input += chunk;
      ASSERT_EQ(write(writer_.get(), chunk.data(), chunk.size()),
                static_cast<ssize_t>(chunk.size()));
      stream.Read(log_);
      if (random() % 16 == 0) {
        stream.Rest(log_);
      }
    }
    writer_.Reset();
    stream.Read(log_);
    EXPECT_FALSE(stream.open());
    EXPECT_EQ(Replay(Contents(log_path_), max_line), input) << max_line;
    EXPECT_EQ(log_.dropped_lines(), 0U);
  }
}

TEST_F(StreamTest, HoldsTheBeginningOfALineUntilItRests) {
  Stream stream;
  Open(stream, 100);
  ASSERT_EQ(write(writer_.get(), "half", 4), 4);
  stream.Read(log_);
  EXPECT_TRUE(stream.warm());
  EXPECT_EQ(Contents(log_path_), "");
  stream.Rest(log_);
  EXPECT_FALSE(stream.warm());
  EXPECT_NE(Contents(log_path_).find(" stdout P half\n"), std::string::npos);
  ASSERT_EQ(write(writer_.get(), " line\n", 6), 6);
  stream.Read(log_);
  EXPECT_NE(Contents(log_path_).find(" stdout F  line\n"), std::string::npos);
}

TEST_F(StreamTest, ReopenGoesOnInANewFileAndKeepsTheOldIfItCannot) {
  Stream stream;
  Open(stream, 100);
  ASSERT_EQ(write(writer_.get(), "one\ntw", 6), 6);
  stream.Read(log_);
  std::filesystem::rename(log_path_, log_path_ + ".1");
  ASSERT_EQ(log_.file.Reopen(), 0);
  ASSERT_EQ(write(writer_.get(), "o\n", 2), 2);
  stream.Read(log_);
  EXPECT_EQ(Replay(Contents(log_path_ + ".1"), 100), "one\n");
  EXPECT_EQ(Replay(Contents(log_path_), 100), "two\n");

  std::filesystem::remove(log_path_);
  std::filesystem::create_symlink("/dev/null", log_path_);
  EXPECT_EQ(log_.file.Reopen(), ELOOP);
  std::filesystem::remove(log_path_);
  ASSERT_EQ(mkfifo(log_path_.c_str(), 0600), 0);
  EXPECT_NE(log_.file.Reopen(), 0) << "a FIFO is no log file";
}

TEST_F(StreamTest, CountsWhatItCannotWriteAndGoesOnLater) {
  Stream stream;
  Open(stream, 100);
  const rlimit old = [] {
    rlimit limit = {};
    getrlimit(RLIMIT_FSIZE, &limit);
    return limit;
  }();
  signal(SIGXFSZ, SIG_IGN);
  rlimit small = {60, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);  // stands for a full disk
  ASSERT_EQ(write(writer_.get(), "first\nsecond\nthird\n", 19), 19);
  stream.Read(log_);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_EQ(log_.dropped_lines(), 2U);
  EXPECT_GT(log_.dropped_bytes(), 60U);
  ASSERT_EQ(write(writer_.get(), "fourth\n", 7), 7);
  stream.Read(log_);
  const std::string log = Contents(log_path_);
  EXPECT_NE(log.find("F first\n"), std::string::npos);
  EXPECT_NE(log.find("\n2"), std::string::npos) << "a torn entry ends before the next";
  EXPECT_NE(log.find(" stdout F fourth\n"), std::string::npos);
  EXPECT_EQ(log_.dropped_lines(), 2U);
}

TEST_F(StreamTest, WholeLinesOverTheRateAreLeftOutAndTold) {
  Stream stream;
  Open(stream, 100);
  log_.Limit(1000, 0);
  std::string burst;
  for (int i = 0; i < 100; ++i) {
    burst += "line " + std::to_string(i) + "\n";
  }
  ASSERT_EQ(write(writer_.get(), burst.data(), burst.size()), static_cast<ssize_t>(burst.size()));
  stream.Read(log_);
  EXPECT_GT(log_.dropped_lines(), 50U);
  EXPECT_LT(log_.dropped_lines(), 90U);
  writer_.Reset();
  stream.Read(log_);  // the end
  const std::string log = Contents(log_path_);
  EXPECT_NE(log.find("F line 0\n"), std::string::npos);
  EXPECT_EQ(log.find("F line 99\n"), std::string::npos);
  const std::string note = "davit: " + std::to_string(log_.dropped_lines()) + " lines (" +
                           std::to_string(log_.dropped_bytes()) +
                           " bytes) left out: over the limit of 1000 bytes a second\n";
  EXPECT_NE(log.find(" stdout F " + note), std::string::npos) << log;
}

TEST_F(StreamTest, ALineThatMeetsTheLimitEndsThere) {
  Stream stream;
  Open(stream, 10);
  log_.Limit(100, 0);
  const std::string text = std::string(500, 'x') + "\nnext\n";
  ASSERT_EQ(write(writer_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  stream.Read(log_);
  writer_.Reset();
  stream.Read(log_);
  const std::string bytes = Replay(Contents(log_path_), 200);
  EXPECT_EQ(bytes.find(std::string(10, 'x')), 0U);
  const size_t end = bytes.find('\n');
  EXPECT_LT(end, 100U);
  EXPECT_EQ(bytes.find("davit: 2 lines ("), end + 1) << bytes;
  EXPECT_EQ(log_.dropped_lines(), 2U);
}

TEST_F(StreamTest, AFullLogSaysSoAndGoesOnWhenRotated) {
  Stream stream;
  Open(stream, 100);
  log_.Limit(0, 200);
  auto say = [&](const std::string& text) {
    ASSERT_EQ(write(writer_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    stream.Read(log_);
  };
  for (int i = 0; i < 10; ++i) {
    say("line " + std::to_string(i) + "\n");
  }
  const std::string full = Contents(log_path_);
  EXPECT_LT(full.size(), 400U);
  EXPECT_NE(full.find("davit: this log has reached its limit of 200 bytes"), std::string::npos);
  std::filesystem::rename(log_path_, log_path_ + ".1");
  ASSERT_EQ(log_.file.Reopen(), 0);
  say("fresh\n");
  const std::string rotated = Contents(log_path_);
  EXPECT_NE(rotated.find("left out: the log was at its limit of 200 bytes\n"), std::string::npos);
  EXPECT_NE(rotated.find(" stdout F fresh\n"), std::string::npos);
  EXPECT_EQ(truncate(log_path_.c_str(), 0), 0);
  say("after truncation\n");
  EXPECT_NE(Contents(log_path_).find("after truncation"), std::string::npos);
}

TEST_F(StreamTest, TheSizeHoldsWithinOneRead) {
  Stream stream;
  Open(stream, 100);
  log_.Limit(0, 1000);
  std::string burst;
  for (int i = 0; i < 1000; ++i) {
    burst += "line\n";
  }
  ASSERT_EQ(write(writer_.get(), burst.data(), burst.size()), static_cast<ssize_t>(burst.size()));
  stream.Read(log_);
  const std::string log = Contents(log_path_);
  EXPECT_LE(log.find(" stdout F davit: this log has reached"), 1000U + 30U);
  EXPECT_LT(log.size(), 1000U + 200U) << "but for the note";
}

TEST(RateLimit, LetsThroughItsRateAndPaysDebtsFirst) {
  RateLimit limit;
  EXPECT_TRUE(limit.Take(size_t{1} << 40U, 0)) << "no limit";
  limit.Set(1000);
  EXPECT_TRUE(limit.Take(3000, 1000)) << "more than there is, but there is some";
  EXPECT_FALSE(limit.Take(1, 2900));
  EXPECT_FALSE(limit.Take(1, 3100)) << "not before a quarter is back";
  EXPECT_TRUE(limit.Take(1, 3300));
  uint64_t taken = 0;
  for (int64_t now = 10'000; now < 110'000; ++now) {
    taken += limit.Take(17, now) ? 17U : 0U;
  }
  EXPECT_NEAR(static_cast<double>(taken), 100'000.0, 2000.0);
}

TEST_F(StreamTest, TheJournalGetsEveryEntryAndNeverWaits) {
  const std::string path = dir_ + "/journal";
  Fd server(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  Stream stream;
  Open(stream, 4);
  ASSERT_EQ(log_.journal.Open("CONTAINER_NAME=a\nCONTAINER_ID=b\n", path.c_str()), 0);
  ASSERT_EQ(write(writer_.get(), "abcdef\n", 7), 7);
  stream.Read(log_);
  auto next = [&] {
    char buffer[4096];
    const ssize_t size = recv(server.get(), buffer, sizeof(buffer), 0);
    return size < 0 ? std::string("nothing") : std::string(buffer, static_cast<size_t>(size));
  };
  const std::string head = "CONTAINER_NAME=a\nCONTAINER_ID=b\nPRIORITY=6\nMESSAGE\n";
  EXPECT_EQ(next(),
            head + std::string("\4\0\0\0\0\0\0\0abcd\n", 13) + "CONTAINER_PARTIAL_MESSAGE=true\n");
  EXPECT_EQ(next(), head + std::string("\2\0\0\0\0\0\0\0ef\n", 11));
  EXPECT_EQ(next(), "nothing");
  for (int i = 0; i < 20'000; ++i) {
    log_.journal.Send(true, {"x", true});  // nobody reads: it must not stand still
  }
  EXPECT_GT(log_.journal.lost(), 0U);
  server.Reset();
  const uint64_t before = log_.journal.lost();
  log_.journal.Send(true, {"x", true});
  EXPECT_EQ(log_.journal.lost(), before + 1);
  EXPECT_EQ(log_.dropped_lines(), 0U);
}

}  // namespace
}  // namespace davit::conmon
