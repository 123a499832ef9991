// SPDX-License-Identifier: Apache-2.0
//
// Exec, Attach and PortForward with clients of both transports.
#include <sys/socket.h>

#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "test/e2e/pod_echo.h"
#include "test/e2e/streaming_fixture.h"
#include "test/streaming/spdy_client.h"
#include "test/streaming/websocket_client.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;
using test_streaming::Connection;
using test_streaming::ParseUrl;
using test_streaming::SpdyClient;
using test_streaming::Url;
using test_streaming::WebSocketClient;

constexpr char kSuccess[] = R"({"metadata":{},"status":"Success"})";

struct Streams {
  bool in = true;
  bool out = true;
  bool err = true;
  bool tty = false;
};

// A client of exec or attach over SPDY.
struct SpdyCommand {
  SpdyCommand(const std::string& text, const Streams& streams)
      : url(ParseUrl(text)), connection(url) {
    head = test_streaming::UpgradeToSpdy(connection, url, "v4.channel.k8s.io");
    client = test_streaming::SpdyOver(connection);
    error = client->Open({{"streamType", "error"}});
    in = streams.in ? client->Open({{"streamType", "stdin"}}) : 0;
    out = streams.out ? client->Open({{"streamType", "stdout"}}) : 0;
    err = streams.err ? client->Open({{"streamType", "stderr"}}) : 0;
    size = streams.tty ? client->Open({{"streamType", "resize"}}) : 0;
  }
  std::string Out(const std::string& until) {
    client->Until([&] { return client->stream(out).data.find(until) != std::string::npos; });
    return client->stream(out).data;
  }
  std::string Result() {
    client->Until([this] { return client->stream(error).ended; });
    return client->stream(error).data;
  }

  Url url;
  Connection connection;
  std::string head;
  std::unique_ptr<SpdyClient> client;
  uint32_t error = 0, in = 0, out = 0, err = 0, size = 0;
};

class Streaming : public StreamingTest {
 protected:
  v1::ExecRequest ExecRequest(const std::string& id, const std::string& script,
                              const Streams& streams) {
    v1::ExecRequest request;
    request.set_container_id(id);
    for (const std::string& word : {std::string("sh"), std::string("-c"), script}) {
      request.add_cmd(word);
    }
    request.set_stdin(streams.in);
    request.set_stdout(streams.out);
    request.set_stderr(streams.err);
    request.set_tty(streams.tty);
    return request;
  }
  std::string ExecUrl(const std::string& id, const std::string& script,
                      const Streams& streams = {}) {
    return Must(client().Exec(ExecRequest(id, script, streams))).url();
  }
  std::string AttachUrl(const std::string& id, const Streams& streams = {}) {
    v1::AttachRequest request;
    request.set_container_id(id);
    request.set_stdin(streams.in);
    request.set_stdout(streams.out);
    request.set_stderr(streams.err);
    request.set_tty(streams.tty);
    return Must(client().Attach(request)).url();
  }
  std::string PortUrl(const std::string& pod, const std::vector<int>& ports = {}) {
    v1::PortForwardRequest request;
    request.set_pod_sandbox_id(pod);
    for (const int port : ports) {
      request.add_port(port);
    }
    return Must(client().PortForward(request)).url();
  }
};

TEST_F(Streaming, ExecOverSpdy) {
  SpdyCommand exec(ExecUrl(Sleeper(), "cat; echo err >&2; exit 7"), {});
  exec.client->Send(exec.in, "hello", true);
  EXPECT_NE(exec.Result().find(R"("message":"7")"), std::string::npos)
      << exec.client->stream(exec.error).data;
  EXPECT_EQ(exec.client->stream(exec.out).data, "hello");
  EXPECT_EQ(exec.client->stream(exec.err).data, "err\n");
}

TEST_F(Streaming, ExecWithATerminal) {
  const Streams streams = {.in = true, .out = true, .err = false, .tty = true};
  SpdyCommand exec(ExecUrl(Sleeper(), "tty; read x; stty size; exit 3", streams), streams);
  exec.Out("/dev/pts/");
  exec.client->Send(exec.size, R"({"Width":120,"Height":40})");
  exec.client->Send(exec.in, "x\n");
  EXPECT_NE(exec.Result().find(R"("message":"3")"), std::string::npos);
  EXPECT_NE(exec.client->stream(exec.out).data.find("40 120"), std::string::npos)
      << exec.client->stream(exec.out).data;
}

TEST_F(Streaming, ExecOverWebSocket) {
  const Url url = ParseUrl(ExecUrl(Sleeper(), "cat; exit 4"));
  Connection connection(url);
  WebSocketClient socket(connection);
  socket.Upgrade(url, "v5.channel.k8s.io");
  socket.SendChannel(0, "hello");
  socket.SendBinary(std::string("\xff\0", 2));
  std::string out;
  std::string result;
  for (auto message = socket.Receive(); message.opcode == 2; message = socket.Receive()) {
    (message.payload[0] == 1 ? out : result) += message.payload.substr(1);
  }
  EXPECT_EQ(out, "hello");
  EXPECT_NE(result.find(R"("message":"4")"), std::string::npos) << result;
}

// Probes and people may look into a container that takes its time to stop.
TEST_F(Streaming, ExecWorksWhileTheContainerStops) {
  const std::string id =
      Run(pod_, ShellContainer("slow",
                               "trap 'echo stopping' TERM; echo up; "
                               "while [ ! -e /go ]; do sleep 0.1; done; exit 3"));
  AwaitLog(LogPath(pod_, "slow"), "up");
  std::thread stopper([&] { EXPECT_TRUE(StopContainer(id, 60).ok()); });
  AwaitLog(LogPath(pod_, "slow"), "stopping");
  EXPECT_EQ(Exec(id, {"echo", "sync"}).stdout(), "sync\n");
  SpdyCommand exec(ExecUrl(id, "echo streamed"), {});
  EXPECT_EQ(exec.Result(), kSuccess);
  EXPECT_EQ(exec.client->stream(exec.out).data, "streamed\n");
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  ShellIn(id, "touch /go");
  stopper.join();
  EXPECT_EQ(Status(id).exit_code(), 3);
}

TEST_F(Streaming, ManyIdleExecsAtOnce) {
  const std::string id = Sleeper();
  std::vector<std::unique_ptr<SpdyCommand>> idle;
  for (int i = 0; i < 50; ++i) {
    idle.push_back(std::make_unique<SpdyCommand>(ExecUrl(id, "echo ready; cat"), Streams()));
  }
  for (size_t i = 0; i < idle.size(); ++i) {
    idle[i]->Out("ready\n");
    idle[i]->client->Send(idle[i]->in, std::to_string(i), true);
  }
  for (size_t i = 0; i < idle.size(); ++i) {
    EXPECT_EQ(idle[i]->Result(), kSuccess);
    EXPECT_EQ(idle[i]->client->stream(idle[i]->out).data, "ready\n" + std::to_string(i));
  }
}

// Status of the answer to an upgrade.
std::string UpgradeStatus(const Url& url, const std::string& protocols = "v4.channel.k8s.io") {
  Connection connection(url);
  return test_streaming::UpgradeToSpdy(connection, url, protocols).substr(0, 12);
}

TEST_F(Streaming, HostileClientsGetNothing) {
  const std::string id = Sleeper();
  const Url used = ParseUrl(ExecUrl(id, "true"));
  {
    SpdyCommand exec("http://" + used.host + ":" + std::to_string(used.port) + used.path, {});
    EXPECT_EQ(exec.Result(), kSuccess);
  }
  EXPECT_EQ(UpgradeStatus(used), "HTTP/1.1 404") << "a URL works once";
  Url guessed = ParseUrl(ExecUrl(id, "true"));
  guessed.path.back() = guessed.path.back() == '0' ? '1' : '0';
  EXPECT_EQ(UpgradeStatus(guessed), "HTTP/1.1 404");
  EXPECT_EQ(UpgradeStatus(ParseUrl(ExecUrl(id, "true")), ""), "HTTP/1.1 400")
      << "without a protocol";
  EXPECT_EQ(UpgradeStatus(ParseUrl(ExecUrl(id, "true")), "v9.channel.k8s.io"), "HTTP/1.1 403");
  EXPECT_EQ(UpgradeStatus(ParseUrl(PortUrl(pod_.id))), "HTTP/1.1 403") << "another's protocol";
  const Url large = ParseUrl(ExecUrl(id, "true"));
  Connection connection(large);
  connection.Write("GET " + large.path + " HTTP/1.1\r\nX: " + std::string(20'000, 'x') +
                   "\r\n\r\n");
  EXPECT_TRUE(connection.ReadHead().starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(UpgradeStatus(large), "HTTP/1.1 101") << "a request that was none uses nothing up";
}

// A client that breaks off in any way leaves the container, the daemon and the others alone.
TEST_F(Streaming, BrokenClientsEndTheirOwnExecOnly) {
  const std::string id = Sleeper();
  SpdyCommand good(ExecUrl(id, "cat"), {});
  for (int i = 0; i < 4; ++i) {
    SpdyCommand bad(ExecUrl(id, "echo ready; cat > /dev/null; true"), {});
    bad.Out("ready");
    bad.client->Send(bad.in, "data", i == 0);
    if (i == 0) {
      bad.client->Send(bad.in, "after its end");
    } else if (i == 1) {
      bad.client->SendRaw(std::string(64, '\xff'));
    } else if (i == 2) {
      bad.client->Reset(bad.in);
    } else {
      bad.client->WindowUpdate(bad.out, 0x7fffffff);
      bad.client->WindowUpdate(bad.out, 0x7fffffff);
    }
  }
  EXPECT_TRUE(Eventually([&] {
    return ShellIn(id, "ps -o args").find("echo ready") == std::string::npos;
  })) << ShellIn(id, "ps -o args");
  good.client->Send(good.in, "still here", true);
  EXPECT_EQ(good.Result(), kSuccess);
  EXPECT_EQ(good.client->stream(good.out).data, "still here");
}

TEST_F(Streaming, ExecOfWhatIsNotThere) {
  const std::string id = Sleeper();
  v1::ExecRequest request = ExecRequest(id, "", {});
  request.clear_cmd();
  ExpectError(client().Exec(request).status(), Code::kInvalidArgument, "no command");
  request.add_cmd("no-such-command");
  SpdyCommand exec(Must(client().Exec(request)).url(), {});
  EXPECT_NE(exec.Result().find("no-such-command"), std::string::npos)
      << exec.client->stream(exec.error).data;
  ExpectError(client().Exec(ExecRequest(id, "true", {.tty = true})).status(),
              Code::kInvalidArgument, "tty and stderr");
  ExpectError(
      client().Exec(ExecRequest(id, "true", {.in = false, .out = false, .err = false})).status(),
      Code::kInvalidArgument, "one of stdin");
  EXPECT_TRUE(StopContainer(id, 0).ok());
  EXPECT_EQ(client().Exec(ExecRequest(id, "true", {})).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(client().Exec(ExecRequest(std::string(64, 'a'), "true", {})).status().code(),
            Code::kNotFound);
}

// Descriptors, processes and files are looked at when the test ends.
TEST_F(Streaming, ManyExecsLeaveNothing) {
  const std::string id = Sleeper();
  for (int i = 0; i < 100; ++i) {
    if (i % 4 == 0) {
      const SpdyCommand left(ExecUrl(id, "cat"), {});
    } else {
      SpdyCommand exec(ExecUrl(id, i % 4 == 1 ? "exit 1" : "true"), {});
      exec.Result();
    }
  }
  EXPECT_TRUE(
      Eventually([&] { return ShellIn(id, "ps -o args").find("cat") == std::string::npos; }));
}

TEST_F(Streaming, ExecEndsWithItsContainer) {
  const std::string id = Sleeper();
  SpdyCommand exec(ExecUrl(id, "echo ready; exec sleep 1000"), {});
  exec.Out("ready");
  EXPECT_TRUE(StopContainer(id, 0).ok());
  EXPECT_NE(exec.Result().find(R"("message":"137")"), std::string::npos);
}

TEST_F(Streaming, AttachSeveralClientsAndDetach) {
  auto config = ShellContainer("echo", "while read line; do echo got $line; done");
  config.set_stdin(true);
  const std::string id = Run(pod_, config);
  SpdyCommand first(AttachUrl(id), {});
  SpdyCommand second(AttachUrl(id, {.in = false}), {.in = false});
  // Attached is a client when its streams are; output that came before is not for it.
  for (int i = 0; second.client->stream(second.out).data.find("got") == std::string::npos; ++i) {
    first.client->Send(first.in, "line " + std::to_string(i) + "\n");
    first.Out("got line " + std::to_string(i));
    bool ended = false;
    second.connection.Unread(second.connection.ReadWithin(100ms, ended));
    second.client->Ping(1 + 2 * static_cast<uint32_t>(i));
    second.client->Until([&] { return second.client->pongs().size() > static_cast<size_t>(i); });
  }
  for (int i = 0; i < 30; ++i) {
    const SpdyCommand left(AttachUrl(id), {});
  }
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  EXPECT_TRUE(StopContainer(id, 0).ok());
  EXPECT_EQ(first.Result(), kSuccess);
}

TEST_F(Streaming, AttachOverWebSocketEndsInputOnce) {
  auto config = ShellContainer("once", "cat; echo end; exit 3");
  config.set_stdin(true);
  config.set_stdin_once(true);
  const std::string id = Run(pod_, config);
  const Url url = ParseUrl(AttachUrl(id));
  Connection connection(url);
  WebSocketClient socket(connection);
  socket.Upgrade(url, "v5.channel.k8s.io");
  socket.SendChannel(0, "hello\n");
  socket.SendBinary(std::string("\xff\0", 2));
  std::string out;
  for (auto message = socket.Receive(); message.opcode == 2; message = socket.Receive()) {
    out += message.payload[0] == 1 ? message.payload.substr(1) : "";
  }
  EXPECT_EQ(out, "hello\nend\n");
  EXPECT_EQ(AwaitExit(id).exit_code(), 3);
  EXPECT_EQ(LogText(LogPath(pod_, "once")), "hello\nend\n") << "the log has it, too";
}

// Without stdin_once a client that leaves takes nothing with it.
TEST_F(Streaming, InputStaysOpenForTheNextClient) {
  auto config = ShellContainer("lines", "while read line; do echo got $line; done; echo end");
  config.set_stdin(true);
  const std::string id = Run(pod_, config);
  for (int i = 0; i < 3; ++i) {
    SpdyCommand attached(AttachUrl(id), {});
    attached.client->Send(attached.in, std::to_string(i) + "\n", true);
    attached.Out("got " + std::to_string(i));
  }
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
}

TEST_F(Streaming, AttachToATerminal) {
  auto config = ShellContainer("tty", "while read line; do stty size; done");
  config.set_stdin(true);
  config.set_tty(true);
  const std::string id = Run(pod_, config);
  const Streams streams = {.in = true, .out = true, .err = false, .tty = true};
  SpdyCommand attached(AttachUrl(id, streams), streams);
  uint32_t pings = 0;
  attached.client->Send(attached.size, R"({"Width":100,"Height":30})");
  // The size takes another way than what is typed: asked until the answer is the new one.
  EXPECT_TRUE(Eventually([&] {
    attached.client->Send(attached.in, "\n");
    bool ended = false;
    attached.connection.Unread(attached.connection.ReadWithin(50ms, ended));
    attached.client->Ping(++pings * 2 - 1);
    attached.client->Until([&] { return attached.client->pongs().size() == pings; });
    return attached.client->stream(attached.out).data.find("30 100") != std::string::npos;
  })) << attached.client->stream(attached.out).data;
}

TEST_F(Streaming, PortForwardIntoThePodsNetwork) {
  const std::string id =
      Run(pod_, ShellContainer("server", "while true; do echo from the pod | nc -l -p 8080; done"));
  const Url url = ParseUrl(PortUrl(pod_.id));
  Connection connection(url);
  test_streaming::UpgradeToSpdy(connection, url, "portforward.k8s.io");
  const auto spdy = test_streaming::SpdyOver(connection);
  std::string answer;
  for (int request = 0; answer.empty() && request < 200; ++request) {  // until it listens
    test_streaming::Pairs headers = {
        {"streamType", "error"}, {"port", "8080"}, {"requestID", std::to_string(request)}};
    const uint32_t error = spdy->Open(headers);
    headers[0].second = "data";
    const uint32_t data = spdy->Open(headers);
    spdy->End(data);
    spdy->Until([&] { return spdy->stream(data).ended || spdy->stream(error).ended; });
    answer = spdy->stream(data).data;
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(answer, "from the pod\n");
}

TEST_F(Streaming, PortForwardOverIpv6WithManyConnections) {
  const PodEcho echo(client(), Sleeper(), AF_INET6);
  const Url url = ParseUrl(PortUrl(pod_.id));
  Connection connection(url);
  test_streaming::UpgradeToSpdy(connection, url, "portforward.k8s.io");
  const auto spdy = test_streaming::SpdyOver(connection);
  std::vector<uint32_t> streams;
  for (int request = 0; request < 40; ++request) {
    test_streaming::Pairs headers = {
        {"streamType", "error"}, {"port", "8080"}, {"requestID", std::to_string(request)}};
    spdy->Open(headers);
    headers[0].second = "data";
    streams.push_back(spdy->Open(headers));
    spdy->Send(streams.back(), "connection " + std::to_string(request), true);
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    spdy->Until([&] { return spdy->stream(streams[i]).ended; });
    EXPECT_EQ(spdy->stream(streams[i]).data, "connection " + std::to_string(i));
  }
}

TEST_F(Streaming, PortForwardOfAHostNetworkPod) {
  auto config = PodConfig("host");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
      v1::NODE);
  const Pod host = RunPod(config);
  // The streaming server itself listens on the host.
  const Url url = ParseUrl(PortUrl(host.id, {80}));
  const Url forward = ParseUrl(PortUrl(host.id, {url.port}));
  Connection connection(forward);
  WebSocketClient socket(connection);
  socket.Upgrade(forward, "v4.channel.k8s.io");
  socket.SendChannel(0, "GET / HTTP/1.1\r\n\r\n");
  std::string answer;
  for (auto message = socket.Receive(); message.opcode == 2; message = socket.Receive()) {
    answer += message.payload[0] == 0 ? message.payload.substr(1) : "";
  }
  EXPECT_NE(answer.find("HTTP/1.1 404"), std::string::npos) << answer;
}

TEST_F(Streaming, PortForwardOfWhatIsNotThere) {
  v1::PortForwardRequest request;
  request.set_pod_sandbox_id(std::string(64, 'a'));
  EXPECT_EQ(client().PortForward(request).status().code(), Code::kNotFound);
  request.set_pod_sandbox_id(pod_.id);
  request.add_port(70000);
  EXPECT_EQ(client().PortForward(request).status().code(), Code::kInvalidArgument);
  StopPod(pod_.id);
  request.clear_port();
  EXPECT_EQ(client().PortForward(request).status().code(), Code::kFailedPrecondition);
}

TEST_F(Streaming, ADaemonThatDiesLeavesCommandsRunningAndUrlsUseless) {
  const std::string id = Sleeper();
  const std::string path = ParseUrl(ExecUrl(id, "true")).path;
  SpdyCommand exec(ExecUrl(id, "echo ready; sleep 987"), {});
  exec.Out("ready");
  RestartDaemon();
  EXPECT_FALSE(exec.client->Step()) << "the connection has ended";
  const Url fresh = ParseUrl(ExecUrl(id, "true"));
  EXPECT_EQ(UpgradeStatus({fresh.host, fresh.port, path}), "HTTP/1.1 404");
  EXPECT_NE(ShellIn(id, "ps -o args").find("sleep 987"), std::string::npos);
  RememberDescriptors();  // the new daemon's streaming thread
}

class ShortLived : public Streaming {
 protected:
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = "streaming:\n  creation_timeout: 1s\n", .failpoints = {}};
  }
};

TEST_F(ShortLived, AUrlExpires) {
  const std::string id = Sleeper();
  const Url url = ParseUrl(ExecUrl(id, "true"));
  std::this_thread::sleep_for(1100ms);  // what is tested is that time has passed
  EXPECT_EQ(UpgradeStatus(url), "HTTP/1.1 404");
  EXPECT_EQ(UpgradeStatus(ParseUrl(ExecUrl(id, "true"))), "HTTP/1.1 101");
}

}  // namespace
}  // namespace davit::e2e
