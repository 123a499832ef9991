// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/streaming/websocket/channel_mux.h"
#include "server/streaming/websocket/tunnel.h"
#include "test/streaming/spdy_client.h"

namespace davit::server::streaming::websocket {
namespace {

struct Recorder final : MuxEvents {
  explicit Recorder(streaming::Mux& its_mux) : mux(its_mux) {}
  bool OnStream(StreamId id, const Headers&) override {
    opened.push_back(id);
    return true;
  }
  void OnData(StreamId id, std::string_view data) override {
    received[id] += data;
    mux.Consume(id, data.size());
  }
  void OnEnd(StreamId id) override { ended.push_back(id); }
  void OnReset(StreamId) override {}

  streaming::Mux& mux;
  std::vector<StreamId> opened;
  std::map<StreamId, std::string> received;
  std::vector<StreamId> ended;
};

// As a client sends it: masked.
std::string Frame(int first, std::string_view payload, bool masked = true) {
  std::string frame(1, static_cast<char>(first));
  const int mask = masked ? 128 : 0;
  if (payload.size() < 126) {
    frame += static_cast<char>(mask + static_cast<int>(payload.size()));
  } else {
    frame += static_cast<char>(mask + 126);
    frame += static_cast<char>(payload.size() >> 8U);
    frame += static_cast<char>(payload.size());
  }
  const std::string key = "\x12\x34\x56\x78";
  if (masked) {
    frame += key;
  }
  for (size_t i = 0; i < payload.size(); ++i) {
    frame += static_cast<char>(masked ? payload[i] ^ key[i % 4] : payload[i]);
  }
  return frame;
}

constexpr int kBinary = 0x82;
constexpr int kText = 0x81;

TEST(ChannelMux, ChannelsCarryDataInPiecesOfAnySize) {
  std::string input = Frame(kBinary, std::string("\0hello ", 7));
  input += Frame(0x02, std::string("\0wo", 3)) + Frame(0x00, "r") + Frame(0x89, "ping") +
           Frame(0x80, "ld");
  input += Frame(kBinary, "\4{size}") + Frame(kBinary, "") + Frame(kBinary, "\x09unknown");
  for (size_t piece = 1; piece <= input.size(); ++piece) {
    ChannelMux mux({}, 5);
    Recorder events(mux);
    for (size_t at = 0; at < input.size(); at += piece) {
      ASSERT_TRUE(mux.Feed(std::string_view(input).substr(at, piece), events).ok());
    }
    EXPECT_EQ(events.received[0], "hello world");
    EXPECT_EQ(events.received[4], "{size}");
    EXPECT_EQ(events.received.size(), 2U);
    EXPECT_EQ(mux.TakeOutput(), std::string("\x8a\x04ping"));
    EXPECT_EQ(mux.held(), 0U);
  }
}

TEST(ChannelMux, WritesMessagesOfEachLength) {
  ChannelMux mux({}, 5);
  mux.Send(1, "out");
  EXPECT_EQ(mux.TakeOutput(), "\x82\x04\x01out");
  mux.Send(2, std::string(200, 'x'));
  EXPECT_EQ(mux.TakeOutput(), std::string("\x82\x7e\x00\xc9\x02", 5) + std::string(200, 'x'));
  mux.Send(2, std::string(70'000, 'x'));
  EXPECT_EQ(mux.TakeOutput().substr(0, 11),
            std::string("\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x71\x02", 11));
  mux.End(1);
  EXPECT_EQ(mux.Room(1), 0U);
  mux.Send(1, "after the end");
  EXPECT_FALSE(mux.HasOutput());
  mux.Finish();
  EXPECT_EQ(mux.TakeOutput(), "\x88\x02\x03\xe8");
}

TEST(ChannelMux, CloseSignalEndsAChannelInV5Only) {
  const std::string signal = Frame(kBinary, std::string("\xff\0", 2));
  ChannelMux v5({.base64 = false, .close_signal = true}, 5);
  Recorder events(v5);
  ASSERT_TRUE(v5.Feed(signal + Frame(kBinary, std::string("\0late", 5)), events).ok());
  EXPECT_EQ(events.ended, std::vector<StreamId>{0});
  EXPECT_EQ(events.received.size(), 0U);
  EXPECT_FALSE(v5.Feed(Frame(kBinary, "\xff\x07"), events).ok());

  ChannelMux v4({}, 5);
  Recorder others(v4);
  ASSERT_TRUE(v4.Feed(signal, others).ok());
  EXPECT_TRUE(others.ended.empty());
}

TEST(ChannelMux, Base64Form) {
  ChannelMux mux({.base64 = true, .close_signal = false}, 5);
  Recorder events(mux);
  ASSERT_TRUE(
      mux.Feed(Frame(kText, "0aGVsbG8=") + Frame(0x01, "0aG") + Frame(0x80, "kh"), events).ok());
  EXPECT_EQ(events.received[0], "hellohi!");
  mux.Send(1, "x");
  EXPECT_EQ(mux.TakeOutput(),
            "\x81\x05"
            "1eA==");
  EXPECT_FALSE(mux.Feed(Frame(kText, "0not base64!"), events).ok());
}

TEST(ChannelMux, CloseIsAnswered) {
  ChannelMux mux({}, 5);
  Recorder events(mux);
  ASSERT_TRUE(mux.Feed(Frame(0x88, "\x03\xe8"), events).ok());
  EXPECT_TRUE(mux.client_finished());
  EXPECT_EQ(mux.TakeOutput(), "\x88\x02\x03\xe8");
}

TEST(ChannelMux, RefusesWhatNoClientMaySend) {
  const std::vector<std::string> hostile = {
      Frame(kBinary, "x", false),              // not masked
      Frame(0xc2, "x"),                        // an extension
      Frame(0x83, "x"),                        // unknown opcode
      Frame(0x09, "x"),                        // a ping in parts
      Frame(0x89, std::string(126, 'x')),      // a long one
      Frame(0x80, "x"),                        // a continuation of nothing
      Frame(0x02, "x") + Frame(kBinary, "x"),  // a message within a message
      std::string("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10) + "mask",
  };
  for (size_t i = 0; i < hostile.size(); ++i) {
    ChannelMux mux({}, 5);
    Recorder events(mux);
    EXPECT_FALSE(mux.Feed(hostile[i], events).ok()) << i;
    const std::string said = mux.TakeOutput();
    EXPECT_EQ(said.substr(2, 2), "\x03\xea") << i;  // 1002
    EXPECT_TRUE(mux.Feed("anything", events).ok()) << i;
  }
}

// It is decoded as a whole: parts of a message that does not end are not kept for ever.
TEST(ChannelMux, AnEncodedMessageHasALongestLength) {
  ChannelMux mux({.base64 = true, .close_signal = false}, 5);
  Recorder events(mux);
  absl::Status status = mux.Feed(Frame(0x01, "0"), events);
  int parts = 0;
  for (; status.ok() && parts < 100; ++parts) {
    status = mux.Feed(Frame(0x00, std::string(4000, 'a')), events);
  }
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(parts, 33) << "128 KiB";
  EXPECT_EQ(mux.TakeOutput().substr(2, 2), "\x03\xea");
  EXPECT_TRUE(events.received.empty());
}

TEST(Base64, IsStrict) {
  EXPECT_EQ(*DecodeBase64(""), "");
  EXPECT_EQ(*DecodeBase64("aGk="), "hi");
  EXPECT_EQ(EncodeBase64(std::string("\0\xff", 2)), "AP8=");
  for (const char* bad : {"a", "aGk", "aGk=\n", "=aGk", "a=Gk", "====", " aGk"}) {
    EXPECT_FALSE(DecodeBase64(bad).ok()) << bad;
  }
}

TEST(Tunnel, CarriesSpdyInMessages) {
  Tunnel tunnel;
  Recorder events(tunnel);
  std::string output;
  test_streaming::SpdyClient client(
      [&](const std::string& bytes) {
        ASSERT_TRUE(tunnel.Feed(Frame(kBinary, bytes), events).ok());
      },
      [&] {
        std::string frames = tunnel.TakeOutput();
        std::string bytes;
        while (!frames.empty()) {  // all are short
          const auto size = static_cast<size_t>(frames[1]);
          bytes += frames.substr(2, size);
          frames.erase(0, 2 + size);
        }
        return bytes;
      });
  const uint32_t id = client.Open({{"streamtype", "data"}, {"port", "80"}});
  client.Send(id, "request");
  tunnel.Send(id, "answer");
  tunnel.End(id);
  client.Until([&] { return client.stream(id).ended; });
  EXPECT_EQ(events.received[id], "request");
  EXPECT_EQ(client.stream(id).data, "answer");
}

}  // namespace
}  // namespace davit::server::streaming::websocket
