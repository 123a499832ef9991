// SPDX-License-Identifier: Apache-2.0
//
// The server's SPDY against a client that shares nothing with it (test/streaming/).
#include "server/streaming/spdy/spdy_mux.h"

#include <chrono>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "server/streaming/spdy/dictionary.h"
#include "test/streaming/spdy_client.h"

namespace davit::server::streaming::spdy {
namespace {

using test_streaming::SpdyClient;

struct Recorder final : MuxEvents {
  bool OnStream(StreamId id, const Headers& headers) override {
    opened[id] = headers;
    return accept;
  }
  void OnData(StreamId id, std::string_view data) override {
    received[id] += data;
    if (consume) {
      mux->Consume(id, data.size());
    }
  }
  void OnEnd(StreamId id) override { ended.push_back(id); }
  void OnReset(StreamId id) override { reset.push_back(id); }

  Mux* mux = nullptr;
  bool accept = true;
  bool consume = true;
  std::map<StreamId, Headers> opened;
  std::map<StreamId, std::string> received;
  std::vector<StreamId> ended;
  std::vector<StreamId> reset;
};

class SpdyMuxTest : public testing::Test {
 protected:
  SpdyMuxTest()
      : client_([this](const std::string& bytes) { Feed(bytes); },
                [this] { return mux_.TakeOutput(); }) {
    events_.mux = &mux_;
  }

  void Feed(const std::string& bytes) {
    for (size_t at = 0; at < bytes.size() && status_.ok(); at += piece_) {
      status_ = mux_.Feed(std::string_view(bytes).substr(at, piece_), events_);
    }
  }
  // All that the server has to say.
  void Drain() {
    while (client_.Step()) {
    }
  }

  size_t piece_ = 1 << 20;
  Mux mux_;
  Recorder events_;
  absl::Status status_;
  SpdyClient client_;
};

TEST(Dictionary, IsTheSpecificationsOne) {
  EXPECT_EQ(Dictionary().size(), 1423U);
}

TEST_F(SpdyMuxTest, StreamsCarryHeadersAndDataBothWays) {
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1} << 20U}) {
    piece_ = piece;
    const uint32_t id = client_.Open({{"streamType", "stdin"}, {"port", "80"}});
    client_.Send(id, "from the client");
    mux_.Send(id, "from the server");
    mux_.End(id);
    client_.End(id);
    Drain();
    ASSERT_TRUE(status_.ok()) << status_;
    EXPECT_EQ(events_.opened[id], (Headers{{"streamtype", "stdin"}, {"port", "80"}}));
    EXPECT_EQ(events_.received[id], "from the client");
    EXPECT_EQ(events_.ended.back(), id);
    EXPECT_TRUE(client_.stream(id).replied);
    EXPECT_EQ(client_.stream(id).data, "from the server");
    EXPECT_TRUE(client_.stream(id).ended);
    EXPECT_EQ(mux_.open_streams(), 0U);
  }
}

TEST_F(SpdyMuxTest, PingsAreAnsweredGoAwayEndsNoStream) {
  const uint32_t id = client_.Open({{"streamtype", "data"}});
  client_.Ping(7);
  client_.Ping(8);  // an answer to a ping that nobody sent
  client_.SendControl(7, 0, std::string(8, '\0'));
  client_.Send(id, "x");
  const uint32_t late = client_.Open({{"streamtype", "data"}});
  Drain();
  EXPECT_TRUE(status_.ok()) << status_;
  EXPECT_EQ(client_.pongs(), std::vector<uint32_t>{7});
  EXPECT_EQ(events_.received[id], "x");
  EXPECT_EQ(client_.stream(late).reset, 3U);
}

TEST_F(SpdyMuxTest, UnwantedStreamsAreRefused) {
  events_.accept = false;
  const uint32_t id = client_.Open({{"streamtype", "odd"}});
  Drain();
  EXPECT_EQ(client_.stream(id).reset, 3U);
  mux_.RefuseMore();
  const uint32_t late = client_.Open({{"streamtype", "late"}});
  Drain();
  EXPECT_EQ(client_.stream(late).reset, 3U);
  EXPECT_EQ(events_.opened.count(late), 0U);
  EXPECT_TRUE(status_.ok()) << status_;
}

TEST_F(SpdyMuxTest, AClientWithoutFlowControlIsHeldByTcpAlone) {
  const uint32_t id = client_.Open({{"streamtype", "stdin"}});
  Drain();
  EXPECT_EQ(mux_.Room(id), Mux::kMaxOutput);
  mux_.Send(id, std::string(100'000, 'x'));
  EXPECT_EQ(mux_.Room(id), Mux::kMaxOutput - 100'000 - 16);
  Drain();
  EXPECT_EQ(mux_.Room(id), Mux::kMaxOutput);
  // It sends more than its window: it is not read from any more, and nothing is lost.
  events_.consume = false;
  client_.Send(id, std::string(300'000, 'y'));
  EXPECT_TRUE(status_.ok()) << status_;
  EXPECT_FALSE(mux_.WantsInput());
  mux_.Consume(id, 300'000);
  EXPECT_TRUE(mux_.WantsInput());
  Drain();
  EXPECT_EQ(client_.given_back(id), 300'000U);
  EXPECT_EQ(client_.given_back(0), 300'000U);
}

TEST_F(SpdyMuxTest, WindowsAreHeededOnceTheClientHasShownSome) {
  client_.InitialWindow(1000);
  const uint32_t id = client_.Open({{"streamtype", "stdout"}});
  EXPECT_EQ(mux_.Room(id), 1000U);
  mux_.Send(id, std::string(1000, 'x'));
  EXPECT_EQ(mux_.Room(id), 0U);
  client_.WindowUpdate(id, 500);
  EXPECT_EQ(mux_.Room(id), 500U);
  client_.InitialWindow(600);  // 400 less for every stream
  EXPECT_EQ(mux_.Room(id), 100U);
  client_.InitialWindow(100);
  EXPECT_EQ(mux_.Room(id), 0U);  // below nothing, until it is made up for
  client_.WindowUpdate(id, 401);
  EXPECT_EQ(mux_.Room(id), 1U);
  EXPECT_TRUE(status_.ok()) << status_;
}

TEST_F(SpdyMuxTest, AClientIsHeldToItsWindow) {
  events_.consume = false;
  client_.InitialWindow(65536);
  const uint32_t id = client_.Open({{"streamtype", "stdin"}});
  client_.Send(id, std::string(65536, 'x'));
  EXPECT_TRUE(events_.reset.empty());
  client_.Send(id, "y");
  Drain();
  EXPECT_EQ(client_.stream(id).reset, 7U);
  EXPECT_EQ(events_.reset, std::vector<StreamId>{id});
  EXPECT_EQ(mux_.held(), 0U);
  EXPECT_TRUE(status_.ok()) << status_;
}

TEST_F(SpdyMuxTest, WindowsThatCannotBeAreRefused) {
  const uint32_t id = client_.Open({{"streamtype", "stdin"}});
  client_.WindowUpdate(id, 0x7fffffff);
  Drain();
  EXPECT_EQ(client_.stream(id).reset, 7U);
  EXPECT_TRUE(status_.ok()) << status_;
  client_.WindowUpdate(0, 0x7fffffff);
  EXPECT_FALSE(status_.ok());
  Drain();
  EXPECT_TRUE(client_.gone_away());
  EXPECT_EQ(client_.go_away_status(), 1U);
}

TEST_F(SpdyMuxTest, DataAfterTheEndResetsTheStream) {
  const uint32_t id = client_.Open({{"streamtype", "stdin"}});
  client_.End(id);
  client_.Send(id, "more");
  Drain();
  EXPECT_EQ(client_.stream(id).reset, 9U);
  EXPECT_EQ(events_.received[id], "");
  client_.Send(id, "and more");  // may have been on its way
  EXPECT_TRUE(status_.ok()) << status_;
}

TEST_F(SpdyMuxTest, TheClientMayResetAStream) {
  events_.consume = false;
  const uint32_t id = client_.Open({{"streamtype", "stdin"}});
  client_.Send(id, "held");
  client_.Reset(id);
  EXPECT_EQ(events_.reset, std::vector<StreamId>{id});
  EXPECT_EQ(mux_.Room(id), 0U);
  EXPECT_FALSE(mux_.Accepts(id));
  mux_.Send(id, "to nobody");
  mux_.Consume(id, 4);
  EXPECT_EQ(mux_.held(), 0U);
}

// Each breaks the whole session.
TEST(SpdyMux, MalformedFramesEndTheSession) {
  const std::vector<std::function<void(SpdyClient&)>> hostile = {
      [](SpdyClient& c) { c.SendControl(1, 0, "short"); },
      [](SpdyClient& c) { c.SendControl(6, 0, "", 2); },  // of another version
      [](SpdyClient& c) { c.SendControl(1, 0, std::string(17'000, 'x')); },
      [](SpdyClient& c) {
        c.SendControl(1, 0, std::string(3, '\0') + "\1" + std::string(6, '\0') + "no zlib");
      },
      [](SpdyClient& c) { c.SendControl(2, 0, std::string(3, '\0') + "\1"); },
      [](SpdyClient& c) { c.SendControl(4, 0, std::string("\xff\xff\xff\xff", 4)); },
      [](SpdyClient& c) { c.InitialWindow(0x80000000U); },
      [](SpdyClient& c) { c.Send(99, "never opened"); },
      [](SpdyClient& c) { c.Send(0, "the session is no stream"); },
      [](SpdyClient& c) {  // an even number
        c.SendControl(
            1, 0,
            std::string(3, '\0') + "\2" + std::string(6, '\0') + c.Compress(SpdyClient::Block({})));
      },
      [](SpdyClient& c) {  // 1 MiB of one header
        c.Open({{"a", std::string(1 << 20, 'a')}});
      },
      [](SpdyClient& c) {
        c.Open({{"a", "1"}, {"A", "2"}});
      },
      [](SpdyClient& c) {
        c.Open({{"", "1"}});
      },
      [](SpdyClient& c) {
        c.Open(test_streaming::Pairs(100, {"name", "value"}));
      },
  };
  for (size_t i = 0; i < hostile.size(); ++i) {
    Mux mux;
    Recorder events;
    events.mux = &mux;
    absl::Status status;
    SpdyClient client(
        [&](const std::string& bytes) {
          if (status.ok()) {
            status = mux.Feed(bytes, events);
          }
        },
        [&] { return mux.TakeOutput(); });
    hostile[i](client);
    EXPECT_FALSE(status.ok()) << i;
    while (client.Step()) {
    }
    EXPECT_TRUE(client.gone_away()) << i;
    EXPECT_TRUE(mux.Feed("anything", events).ok()) << i;  // nobody listens any more
  }
}

// However many streams there are and settings in a frame: what comes in costs what it weighs.
TEST_F(SpdyMuxTest, ManySettingsCostNothingForEachStream) {
  uint32_t id = 0;
  for (size_t i = 0; i < Mux::kMaxStreams; ++i) {
    id = client_.Open({{"streamtype", "data"}});
  }
  (void)mux_.TakeOutput();
  const std::string entry("\0\0\0\x07\0\0\x03\xe8", 8);
  std::string settings("\0\0\x03\xe8", 4);  // 1000 of them, each of 1000 bytes
  for (int i = 0; i < 1000; ++i) {
    settings += entry;
  }
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 300; ++i) {
    client_.SendControl(4, 0, settings);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  EXPECT_TRUE(status_.ok()) << status_;
  EXPECT_EQ(mux_.Room(id), 1000U);
}

TEST_F(SpdyMuxTest, StreamsAreLimited) {
  uint32_t id = 0;
  for (size_t i = 0; i <= Mux::kMaxStreams; ++i) {
    id = client_.Open({{"streamtype", "data"}});
  }
  Drain();
  EXPECT_EQ(mux_.open_streams(), Mux::kMaxStreams);
  EXPECT_EQ(client_.stream(id).reset, 3U);
}

// Random operations of both sides: what was sent arrives, in order, and all accounts are settled.
TEST_F(SpdyMuxTest, RandomTrafficArrives) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    piece_ = 1 + random() % 5000;
    std::map<uint32_t, std::string> to_server;
    std::map<uint32_t, std::string> to_client;
    std::vector<uint32_t> ids;
    for (int i = 0; i < 5; ++i) {
      ids.push_back(client_.Open({{"streamtype", "data"}, {"requestid", std::to_string(i)}}));
    }
    for (int step = 0; step < 100; ++step) {
      const uint32_t id = ids[random() % ids.size()];
      const std::string data(random() % 3000, static_cast<char>('a' + random() % 26));
      if (random() % 2 == 0) {
        client_.Send(id, data);
        to_server[id] += data;
      } else {
        const std::string part = data.substr(0, mux_.Room(id));
        mux_.Send(id, part);
        to_client[id] += part;
        Drain();
      }
    }
    for (const uint32_t id : ids) {
      client_.End(id);
      mux_.End(id);
    }
    Drain();
    ASSERT_TRUE(status_.ok()) << status_;
    for (const uint32_t id : ids) {
      EXPECT_EQ(events_.received[id], to_server[id]);
      EXPECT_EQ(client_.stream(id).data, to_client[id]);
    }
    EXPECT_EQ(mux_.held(), 0U);
    EXPECT_EQ(mux_.open_streams(), 0U);
  }
}

}  // namespace
}  // namespace davit::server::streaming::spdy
