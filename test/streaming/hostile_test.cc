// SPDX-License-Identifier: Apache-2.0
//
// Clients that mean harm, over real sockets. Each costs bounded memory and time, and others are
// served meanwhile.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "test/streaming/server_fixture.h"

namespace davit::server::streaming {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kSuccess[] = R"({"metadata":{},"status":"Success"})";
constexpr uint16_t kClosedPort = 1;
// What an attack may cost: all that a session holds, and what the allocator keeps. The sanitizer's
// keeps all that was freed lately.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kMemoryKb = 600 << 10;
#else
constexpr size_t kMemoryKb = 16 << 10;
#endif

// How long a client waits for a server that takes nothing: where it should not, and where it
// should.
constexpr std::chrono::milliseconds kStall{500};
constexpr std::chrono::milliseconds kPatience{20'000};

size_t ResidentKb() {
  const std::string statm = ReadFile("/proc/self/statm").value_or("0 0");
  return std::stoul(statm.substr(statm.find(' '))) * 4;
}

size_t OpenDescriptors() {
  return ListDir("/proc/self/fd")->size();
}

// Numbers of SPDY.
std::string Number(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes += static_cast<char>(value >> static_cast<unsigned>(shift));
  }
  return bytes;
}

std::string Control(uint16_t type, uint8_t flags, const std::string& payload) {
  return Number(0x80030000U | type) +
         Number(static_cast<uint32_t>(flags) << 24U | static_cast<uint32_t>(payload.size())) +
         payload;
}

std::string Repeat(const std::string& text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) {
    all += text;
  }
  return all;
}

struct Taken {
  size_t bytes = 0;
  bool closed = false;  // by the server
};

using Source = std::function<std::string()>;

// Writes as fast as the server takes it: up to `most` bytes, until it takes nothing for so long or
// closes the connection.
Taken Flood(int fd, const Source& next, size_t most, std::chrono::milliseconds quiet) {
  Taken taken;
  std::string pending;
  while (taken.bytes < most) {
    if (pending.empty()) {
      pending = next();
    }
    pollfd waiting = {.fd = fd, .events = POLLOUT, .revents = 0};
    if (poll(&waiting, 1, static_cast<int>(quiet.count())) <= 0) {
      return taken;
    }
    const ssize_t count = send(fd, pending.data(), pending.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN) {
      taken.closed = true;
      return taken;
    }
    const size_t step = count > 0 ? static_cast<size_t>(count) : 0;
    taken.bytes += step;
    pending.erase(0, step);
  }
  return taken;
}

Source Always(std::string text) {
  return [text = std::move(text)] { return text; };
}
// Where the point is how long, not how much.
Source Slowly(std::string text) {
  return [text = std::move(text)] {
    std::this_thread::sleep_for(1ms);
    return text;
  };
}

// Reads and forgets all that the server says, so that it has no reason to wait.
class Drain {
 public:
  explicit Drain(int fd)
      : thread_([this, fd] {
          std::array<char, 65536> buffer;
          while (!stop_) {
            pollfd waiting = {.fd = fd, .events = POLLIN, .revents = 0};
            if (poll(&waiting, 1, 50) > 0 && recv(fd, buffer.data(), buffer.size(), 0) <= 0) {
              break;
            }
          }
        }) {}
  ~Drain() {
    stop_ = true;
    thread_.join();
  }
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// Until the server closes; false if it does not within the time.
bool Closes(Connection& connection, std::chrono::milliseconds time) {
  const auto until = Clock::now() + time;
  bool ended = false;
  while (!ended && Clock::now() < until) {
    (void)connection.ReadWithin(100ms, ended);
  }
  return ended;
}

class HostileTest : public ServerTest {
 protected:
  using ServerTest::ServerTest;

  // Another client, at any time.
  void OthersAreServed() {
    SpdyExec exec(ExecUrl("cat"));
    exec.client->Send(exec.in, "others", true);
    EXPECT_EQ(exec.Result(), kSuccess);
    EXPECT_EQ(exec.client->stream(exec.out).data, "others");
  }

  // An exec whose streams are open and whose command runs.
  std::unique_ptr<SpdyExec> RunningExec(const std::string& script = "cat > /dev/null") {
    auto exec = std::make_unique<SpdyExec>(ExecUrl("echo ready; " + script));
    exec->client->Until([&] { return exec->client->stream(exec->out).data == "ready\n"; });
    EXPECT_EQ(exec->client->stream(exec->out).data, "ready\n");
    return exec;
  }
};

class ImpatientTest : public HostileTest {
 protected:
  ImpatientTest() : HostileTest({}, {.request = 1500ms, .streams = 1500ms}) {}
};

TEST_F(ImpatientTest, ARequestThatComesByteByByteIsCutOff) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  Connection slow(url);
  const std::string request = "POST " + url.path + " HTTP/1.1\r\nX: " + std::string(10'000, 'x');
  const auto begin = Clock::now();
  bool ended = false;
  for (size_t i = 0; i < request.size() && !ended; ++i) {
    try {
      slow.Write(request.substr(i, 1));
      (void)slow.ReadWithin(10ms, ended);
    } catch (const std::runtime_error&) {
      ended = true;
    }
    if (i == 10) {
      OthersAreServed();
    }
  }
  EXPECT_TRUE(ended);
  EXPECT_GE(Clock::now() - begin, 1400ms);
  EXPECT_LT(Clock::now() - begin, 10s);
  SpdyExec exec("http://" + url.host + ":" + std::to_string(url.port) + url.path);
  EXPECT_EQ(exec.Result(), kSuccess) << "half a request uses nothing up";
}

TEST_F(ImpatientTest, SilentConnectionsAreClosed) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  const size_t descriptors = OpenDescriptors();
  {
    std::vector<std::unique_ptr<Connection>> silent;
    for (int i = 0; i < 100; ++i) {
      silent.push_back(std::make_unique<Connection>(url));
      silent.back()->Write(i % 2 == 0 ? "" : "GET /");
    }
    OthersAreServed();
    for (const auto& connection : silent) {
      EXPECT_TRUE(Closes(*connection, 10s));
    }
  }
  for (int i = 0; i < 500 && OpenDescriptors() > descriptors + 3; ++i) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_LE(OpenDescriptors(), descriptors + 3) << "but for what the loop has";
}

// It has its answer, and does not close.
TEST_F(ImpatientTest, ARefusedClientThatStaysIsClosed) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  const size_t before = ResidentKb();
  for (const std::string& text : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(65536, 'x')}) {
    Connection connection(url);
    connection.Write(text);
    EXPECT_TRUE(connection.ReadHead().starts_with("HTTP/1.1 4"));
    const auto begin = Clock::now();
    const Taken taken = Flood(connection.fd(), Slowly(text), size_t{16} << 30U, kPatience);
    EXPECT_TRUE(taken.closed) << taken.bytes;
    EXPECT_LT(Clock::now() - begin, 10s);
  }
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  OthersAreServed();
}

TEST_F(ImpatientTest, AnExecWithoutStreamsIsClosed) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  Connection connection(url);
  test_streaming::UpgradeToSpdy(connection, url, "v4.channel.k8s.io");
  const auto client = SpdyOver(connection);
  const uint32_t only = client->Open({{"streamType", "stdin"}});
  while (client->Step()) {
  }
  EXPECT_TRUE(client->gone_away());
  EXPECT_FALSE(client->stream(only).ended);
  OthersAreServed();
}

TEST_F(ImpatientTest, HalfOfAForwardedConnectionIsGivenUpAlone) {
  const EchoServer echo(AF_INET);
  const Url url = ParseUrl(PortUrl());
  Connection connection(url);
  test_streaming::UpgradeToSpdy(connection, url, "portforward.k8s.io");
  const auto client = SpdyOver(connection);
  const uint32_t half = client->Open(
      {{"streamType", "data"}, {"port", std::to_string(echo.port())}, {"requestID", "1"}});
  client->Until([&] { return client->stream(half).reset != 0; });
  EXPECT_EQ(client->stream(half).reset, 5U);
  const auto whole = OpenPair(*client, echo.port(), 2);
  client->Send(whole.second, "whole", true);
  client->Until([&] { return client->stream(whole.second).ended; });
  EXPECT_EQ(client->stream(whole.second).data, "whole");
}

// Beyond the limit the oldest goes: nobody waits for those who say nothing.
TEST_F(HostileTest, TheOldestSilentConnectionGivesWay) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  std::vector<std::unique_ptr<Connection>> silent;
  for (int i = 0; i < 400; ++i) {
    silent.push_back(std::make_unique<Connection>(url));
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(Closes(*silent[static_cast<size_t>(i)], 5s)) << i;
  }
  bool ended = true;
  (void)silent.back()->ReadWithin(100ms, ended);
  EXPECT_FALSE(ended);
  OthersAreServed();
}

TEST_F(HostileTest, TokensCannotBeGuessedFromOneThatIsRight) {
  const Url right = ParseUrl(ExecUrl("exit 0"));
  const auto status_of = [&](const std::string& path) {
    Connection connection(right);
    return test_streaming::UpgradeToSpdy(connection, {right.host, right.port, path},
                                         "v4.channel.k8s.io")
        .substr(0, 12);
  };
  std::vector<std::string> guesses = {right.path.substr(0, right.path.size() - 1),
                                      right.path + "0",
                                      right.path + "/",
                                      right.path + "%00",
                                      "/" + right.path,
                                      "/exec/../" + right.path.substr(1),
                                      "/attach" + right.path,
                                      "/portforward/" + right.path.substr(6) + "0",
                                      "/exec/*"};
  std::string upper = right.path;
  std::transform(upper.begin() + 6, upper.end(), upper.begin() + 6,
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (upper != right.path) {
    guesses.push_back(upper);
  }
  for (size_t i = 6; i < right.path.size(); ++i) {
    std::string guess = right.path;
    guess[i] = guess[i] == '0' ? '1' : '0';
    guesses.push_back(guess);
  }
  const size_t before = ResidentKb();
  for (int round = 0; round < 5; ++round) {
    for (const std::string& guess : guesses) {
      EXPECT_EQ(status_of(guess).substr(0, 10), "HTTP/1.1 4") << guess;
    }
  }
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  EXPECT_EQ(status_of(right.path), "HTTP/1.1 101") << "guesses use nothing up";
  EXPECT_EQ(status_of(right.path), "HTTP/1.1 404");
}

TEST_F(HostileTest, OfManyWhoComeWithOneTokenOneIsServed) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  std::atomic<int> served = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back([&] {
      Connection connection(url);
      const std::string head = test_streaming::UpgradeToSpdy(connection, url, "v4.channel.k8s.io");
      served += head.starts_with("HTTP/1.1 101 ") ? 1 : 0;
      refused += head.starts_with("HTTP/1.1 404 ") ? 1 : 0;
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  EXPECT_EQ(served, 1);
  EXPECT_EQ(refused, 19);
}

TEST_F(HostileTest, PingsWhoseAnswersNobodyReadsAreNotTaken) {
  const auto bad = RunningExec();
  const size_t before = ResidentKb();
  const Taken taken = Flood(bad->connection.fd(), Always(Repeat(Control(6, 0, Number(7)), 4096)),
                            size_t{256} << 20U, kStall);
  EXPECT_FALSE(taken.closed);
  EXPECT_LT(taken.bytes, size_t{64} << 20U) << "all that sockets hold";
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  OthersAreServed();
  // None is forgotten: an answer is as long as its ping.
  const size_t answers = taken.bytes / 12 * 12;
  size_t read = 0;
  while (read < answers) {
    const std::string part = bad->connection.Read();
    ASSERT_NE(part, "");
    read += part.size();
  }
}

TEST_F(HostileTest, StreamsBeyondThoseOfAnExecAreRefusedWithoutMemory) {
  const auto bad = RunningExec();
  const size_t before = ResidentKb();
  uint32_t id = 101;
  // No header block is looked at any more: garbage is as good as another.
  const auto next = [&id] {
    std::string frames;
    for (int i = 0; i < 1024; ++i, id += 2) {
      frames += Control(1, 0, Number(id) + Number(0) + std::string(2, '\0') + "garbage");
    }
    return frames;
  };
  const Taken taken = Flood(bad->connection.fd(), next, size_t{256} << 20U, kStall);
  EXPECT_FALSE(taken.closed);
  EXPECT_LT(taken.bytes, size_t{64} << 20U);
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  OthersAreServed();
}

TEST_F(HostileTest, ResetsOfStreamsThatAreNotThereDoNothing) {
  const auto bad = RunningExec("cat");
  const size_t before = ResidentKb();
  std::string resets;
  for (uint32_t id = 11; resets.size() < size_t{1} << 20U; id += 2) {
    resets += Control(3, 0, Number(id) + Number(5));
  }
  const Taken taken =
      Flood(bad->connection.fd(), Always(resets), size_t{32} * resets.size(), kPatience);
  EXPECT_EQ(taken.bytes, size_t{32} * resets.size());
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  bad->client->Send(bad->in, "goes on", true);
  EXPECT_EQ(bad->Result(), kSuccess);
  EXPECT_EQ(bad->client->stream(bad->out).data, "ready\ngoes on");
}

// What a client of port-forward opens and gives up at once.
class PortFloodTest : public HostileTest {
 protected:
  // `frames`: what to do with a stream of this type and number, of one connection.
  using Frames = std::function<std::string(SpdyClient&, uint32_t id)>;

  static std::string Open(SpdyClient& client, uint32_t id, uint8_t flags, const char* type,
                          uint32_t request) {
    return Control(
        1, flags,
        Number(id) + Number(0) + std::string(2, '\0') +
            client.Compress(SpdyClient::Block({{"streamtype", type},
                                               {"port", std::to_string(kClosedPort)},
                                               {"requestid", std::to_string(request)}})));
  }
  static std::string Reset(uint32_t id) { return Control(3, 0, Number(id) + Number(5)); }

  void CostsNothing(const Frames& frames) {
    const Url url = ParseUrl(PortUrl());
    Connection connection(url);
    test_streaming::UpgradeToSpdy(connection, url, "portforward.k8s.io");
    const auto client = SpdyOver(connection);
    const Drain drain(connection.fd());
    const size_t before = ResidentKb();
    uint32_t id = 1;
    const auto next = [&] {
      std::string some;
      for (int i = 0; i < 500; ++i, id += 4) {
        some += frames(*client, id);
      }
      return some;
    };
    const Taken taken = Flood(connection.fd(), next, size_t{3} << 20U, kPatience);
    EXPECT_FALSE(taken.closed) << "after " << taken.bytes << " bytes";
    EXPECT_GT(id, 50'000U) << "opened";
    EXPECT_LT(ResidentKb(), before + 2 * kMemoryKb);
    OthersAreServed();
  }
};

TEST_F(PortFloodTest, StreamsThatAreResetAtOnce) {
  CostsNothing(
      [](SpdyClient& client, uint32_t id) { return Open(client, id, 0, "error", id) + Reset(id); });
  CostsNothing(
      [](SpdyClient& client, uint32_t id) { return Open(client, id, 0, "data", id) + Reset(id); });
}

// With both flags the stream has ended in both directions, and counts no more.
TEST_F(PortFloodTest, StreamsThatAreEndedAtOnce) {
  CostsNothing([](SpdyClient& client, uint32_t id) { return Open(client, id, 3, "error", id); });
}

TEST_F(PortFloodTest, PairsThatAreResetWhileTheyConnect) {
  CostsNothing([](SpdyClient& client, uint32_t id) {
    std::string frames = Open(client, id, 0, "error", id);
    frames += Open(client, id + 2, 0, "data", id);
    return frames + Reset(id) + Reset(id + 2);
  });
}

// What was sent on a stream that is reset is held by nobody, whatever its connection waits for.
TEST_F(PortFloodTest, DataOfStreamsThatAreReset) {
  const std::string data(60'000, 'x');
  const Url url = ParseUrl(PortUrl());
  Connection connection(url);
  test_streaming::UpgradeToSpdy(connection, url, "portforward.k8s.io");
  const auto client = SpdyOver(connection);
  const Drain drain(connection.fd());
  const size_t before = ResidentKb();
  uint32_t id = 1;
  const auto next = [&] {
    std::string frames = Open(*client, id, 0, "error", id);
    frames += Open(*client, id + 2, 0, "data", id);
    frames += Number(id + 2) + Number(static_cast<uint32_t>(data.size())) + data;
    frames += Reset(id + 2) + Reset(id);
    id += 4;
    return frames;
  };
  const Taken taken = Flood(connection.fd(), next, size_t{128} << 20U, kPatience);
  EXPECT_GE(taken.bytes, size_t{128} << 20U);
  EXPECT_LT(ResidentKb(), before + 2 * kMemoryKb);
  OthersAreServed();
}

TEST_F(HostileTest, AWindowThatOverflowsEndsItsStreamOrItsSession) {
  const auto stream = RunningExec();
  stream->client->WindowUpdate(stream->out, 0x7fffffff);
  stream->client->Until([&] { return stream->client->stream(stream->out).reset != 0; });
  EXPECT_EQ(stream->client->stream(stream->out).reset, 7U);
  stream->client->Send(stream->in, "x", true);
  EXPECT_EQ(stream->Result(), kSuccess) << "the others go on";

  const auto session = RunningExec();
  session->client->WindowUpdate(0, 0x7fffffff);
  while (session->client->Step()) {
  }
  EXPECT_TRUE(session->client->gone_away());
  EXPECT_EQ(session->client->go_away_status(), 1U);
  OthersAreServed();
}

// One that knows of windows and sends more than ours.
TEST_F(HostileTest, DataBeyondTheWindowResetsTheStream) {
  const auto bad = RunningExec("sleep 5");  // reads nothing: a pipe and a window fit
  bad->client->InitialWindow(1 << 20);
  const size_t before = ResidentKb();
  const Taken taken = Flood(bad->connection.fd(),
                            Always(Number(bad->in) + Number(60'000) + std::string(60'000, 'x')),
                            size_t{64} << 20U, kPatience);
  EXPECT_GE(taken.bytes, size_t{64} << 20U) << "read, and dropped";
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  bad->client->Until([&] { return bad->client->stream(bad->in).reset != 0; });
  EXPECT_EQ(bad->client->stream(bad->in).reset, 7U);
  OthersAreServed();
}

// The session has said good-bye: what still comes is read for a while, or TCP would throw away
// what the client has not read yet, and then no more.
TEST_F(HostileTest, DataAfterTheEndOfASessionIsTakenForAWhileOnly) {
  SpdyExec exec(ExecUrl("exit 0"));
  EXPECT_EQ(exec.Result(), kSuccess);
  const auto begin = Clock::now();
  const size_t before = ResidentKb();
  const Taken taken =
      Flood(exec.connection.fd(), Slowly(Number(exec.in) + Number(1000) + std::string(1000, 'x')),
            size_t{16} << 30U, kPatience);
  EXPECT_TRUE(taken.closed);
  EXPECT_LT(Clock::now() - begin, 20s);
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  OthersAreServed();
}

// A frame of a client: masked, with a mask of zeros.
std::string WebSocketFrame(int first, size_t size) {
  std::string frame(1, static_cast<char>(first));
  frame += static_cast<char>(128 | std::min<size_t>(size, 126));
  if (size >= 126) {
    frame += static_cast<char>(size >> 8U);
    frame += static_cast<char>(size);
  }
  return frame + std::string(4 + size, '\0');
}

TEST_F(HostileTest, WebSocketPingsWhoseAnswersNobodyReadsAreNotTaken) {
  const Url url = ParseUrl(ExecUrl("cat > /dev/null"));
  Connection connection(url);
  WebSocketClient client(connection);
  client.Upgrade(url, "v5.channel.k8s.io");
  const size_t before = ResidentKb();
  const Taken taken = Flood(connection.fd(), Always(Repeat(WebSocketFrame(0x89, 125), 500)),
                            size_t{256} << 20U, kStall);
  EXPECT_FALSE(taken.closed);
  EXPECT_LT(taken.bytes, size_t{64} << 20U);
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  OthersAreServed();
}

// A message that never ends is data like other data: it goes where it belongs, piece by piece.
TEST_F(HostileTest, AWebSocketMessageWithoutAnEndIsHeldByNobody) {
  const Url url = ParseUrl(ExecUrl("cat > /dev/null"));
  Connection connection(url);
  WebSocketClient client(connection);
  client.Upgrade(url, "v5.channel.k8s.io");
  const size_t before = ResidentKb();
  client.SendRaw(WebSocketFrame(0x02, 60'000));  // of channel 0, and not the last
  const Taken taken =
      Flood(connection.fd(), Always(WebSocketFrame(0x00, 60'000)), size_t{64} << 20U, kPatience);
  EXPECT_GE(taken.bytes, size_t{64} << 20U);
  EXPECT_LT(ResidentKb(), before + kMemoryKb);
  OthersAreServed();
}

// A form that has to be decoded as a whole has a longest message.
TEST_F(HostileTest, AnEncodedWebSocketMessageWithoutAnEndIsRefused) {
  const Url url = ParseUrl(ExecUrl("cat > /dev/null"));
  Connection connection(url);
  WebSocketClient client(connection);
  client.Upgrade(url, "v4.base64.channel.k8s.io");
  client.SendRaw(WebSocketFrame(0x01, 60'000));
  const auto begin = Clock::now();
  const Taken taken =
      Flood(connection.fd(), Slowly(WebSocketFrame(0x00, 60'000)), size_t{16} << 30U, kPatience);
  EXPECT_TRUE(taken.closed);
  EXPECT_LT(Clock::now() - begin, 20s);
  OthersAreServed();
}

}  // namespace
}  // namespace davit::server::streaming
