// SPDX-License-Identifier: Apache-2.0
//
// `davit exec`, `attach`, `port-forward` and `logs` as an operator uses them: with pipes, files and
// a terminal.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/pipe.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "test/e2e/command.h"
#include "test/e2e/pod_echo.h"
#include "test/e2e/streaming_fixture.h"
#include "test/streaming/tls_client.h"

namespace davit::e2e {
namespace {

namespace fs = std::filesystem;

// Reads until the text was seen, or the end; throws after a while.
std::string ReadUntil(int fd, const std::string& text) {
  std::string read_so_far;
  while (text.empty() || read_so_far.find(text) == std::string::npos) {
    pollfd readable = {.fd = fd, .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, 30'000) <= 0) {
      throw std::runtime_error("no \"" + text + "\" but: " + read_so_far);
    }
    std::array<char, 65536> buffer;
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count <= 0) {
      break;
    }
    read_so_far.append(buffer.data(), static_cast<size_t>(count));
  }
  return read_so_far;
}

// The command line at work: with pipes, or with a terminal.
class Working {
 public:
  enum class With { kPipes, kTerminal };

  Working(const std::vector<std::string>& argv, With with) {
    SpawnOptions options;
    options.argv = argv;
    options.env = MinimalEnv();
    options.new_session = true;
    if (with == With::kTerminal) {
      in_.Reset(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
      grantpt(in_.get());
      unlockpt(in_.get());
      slave_ = Must(Open(ptsname(in_.get()), O_RDWR | O_NOCTTY));
      Resize(24, 80);
      out_.Reset(fcntl(in_.get(), F_DUPFD_CLOEXEC, 0));
      options.fds = {{slave_.get(), 0}, {slave_.get(), 1}, {slave_.get(), 2}};
      process_ = Must(Spawn(options));
      return;
    }
    Pipe in = Must(MakePipe());
    Pipe out = Must(MakePipe());
    options.fds = {{in.reader.get(), 0}, {out.writer.get(), 1}, {out.writer.get(), 2}};
    process_ = Must(Spawn(options));
    in_ = std::move(in.writer);
    out_ = std::move(out.reader);
  }
  ~Working() {
    if (!ended_) {
      (void)process_.Kill(SIGKILL);
      End();
    }
  }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

  void Type(const std::string& text) { Must(WriteFd(in_.get(), text, "stdin")); }
  void EndInput() { in_.Reset(); }
  std::string Until(const std::string& text) { return ReadUntil(out_.get(), text); }
  // As a terminal emulator does, for a process that has it as its controlling terminal.
  void Resize(uint16_t rows, uint16_t columns) {
    winsize size = {};
    size.ws_row = rows;
    size.ws_col = columns;
    ioctl(in_.get(), TIOCSWINSZ, &size);
    if (process_.pid() > 0) {
      (void)process_.Kill(SIGWINCH);
    }
  }
  [[nodiscard]] bool Echoes() const {
    termios state = {};
    return tcgetattr(slave_.get(), &state) == 0 && (state.c_lflag & ECHO) != 0;
  }
  void Signal(int signal) { Must(process_.Kill(signal)); }
  int End() {
    Context ctx(30s);
    ended_ = true;
    return Must(process_.Wait(ctx)).code;
  }

 private:
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd slave_;
  Process process_;
  bool ended_ = false;
};

class CliStream : public StreamingTest {
 protected:
  std::vector<std::string> Words(std::vector<std::string> args) {
    args.insert(args.begin(), {DavitPath(), "--socket", daemon().socket()});
    return args;
  }
  RunResult Davit(const std::vector<std::string>& args, std::string_view input = {}) {
    Context ctx(60s);
    return Must(davit::Run(ctx, {.argv = Words(args), .env = MinimalEnv()},
                           {.input = input, .max_output = size_t{64} << 20U}));
  }
};

TEST_F(CliStream, ExecGivesOutputAsItComesAndTheExitCode) {
  const std::string id = Sleeper();
  const RunResult run = Davit({"exec", id, "sh", "-c", "echo out; echo err >&2; exit 5"});
  EXPECT_EQ(run.exit.code, 5);
  EXPECT_EQ(run.out, "out\n");
  EXPECT_EQ(run.err, "err\n");
  EXPECT_EQ(Davit({"exec", id, "sh", "-c", "kill -9 $$"}).exit.code, 137);
  EXPECT_EQ(Davit({"exec", id, "cat"}, "not passed on").out, "");
  Working working(Words({"exec", "-i", id, "sh", "-c", "echo ready; read line; echo $line"}),
                  Working::With::kPipes);
  working.Until("ready\n");
  working.Type("answer\n");
  EXPECT_EQ(working.Until("answer\n"), "answer\n");
  EXPECT_EQ(working.End(), 0);
}

TEST_F(CliStream, ExecPassesInputOnToItsEnd) {
  const std::string id = Sleeper();
  std::string input(size_t{4} << 20U, 'x');
  for (size_t i = 0; i < input.size(); i += 997) {
    input[i] = static_cast<char>(i);
  }
  const RunResult piped = Davit({"exec", "-i", id, "cat"}, input);
  EXPECT_EQ(piped.exit.code, 0) << piped.err;
  EXPECT_TRUE(piped.out == input);
  const std::string file = daemon().dir() + "/input";
  Must(WriteFileAtomic(file, input));
  EXPECT_EQ(MustRun({"sh", "-c", "exec \"$0\" --socket \"$1\" exec -i \"$2\" md5sum < \"$3\"",
                     DavitPath(), daemon().socket(), id, file})
                .substr(0, 32),
            MustRun({"md5sum", file}).substr(0, 32));
}

TEST_F(CliStream, ExecWithALimitKillsWhatTakesTooLong) {
  const std::string id = Sleeper();
  const RunResult run = Davit({"exec", "--timeout", "1", id, "sleep", "987"});
  EXPECT_EQ(run.exit.code, 1);
  EXPECT_NE(run.err.find("timed out after 1 s"), std::string::npos) << run.err;
  EXPECT_EQ(ShellIn(id, "ps -o args | grep -c '[s]leep 987' || true"), "0\n");
  EXPECT_NE(Davit({"exec", "-i", "--timeout", "1", id, "cat"}).err.find("--timeout"),
            std::string::npos);
}

TEST_F(CliStream, ExecOfWhatIsNotThere) {
  const std::string id = Sleeper();
  const RunResult run = Davit({"exec", id, "no-such-command"});
  EXPECT_NE(run.exit.code, 0);
  EXPECT_NE(run.err.find("no-such-command"), std::string::npos) << run.err;
}

TEST_F(CliStream, ExecWithATerminal) {
  const std::string id = Sleeper();
  Working working(Words({"exec", "-it", id, "sh", "-c",
                         "trap 'echo interrupted; exit 6' INT; echo asked; "
                         "while read x; do stty size; echo asked; done"}),
                  Working::With::kTerminal);
  working.Until("asked");
  EXPECT_FALSE(working.Echoes()) << "every key goes to the container";
  const auto await_size = [&](const std::string& size) {
    // It takes another way than what is typed.
    EXPECT_TRUE(Eventually([&] {
      working.Type("\n");
      return working.Until("asked").find(size) != std::string::npos;
    })) << size;
  };
  await_size("24 80");
  working.Resize(30, 100);
  await_size("30 100");
  working.Type("\x03");
  working.Until("interrupted");
  EXPECT_EQ(working.End(), 6);
  EXPECT_TRUE(working.Echoes()) << "the terminal is as it was";
}

TEST_F(CliStream, WithoutATerminalExecGoesOnWithoutOne) {
  const std::string id = Sleeper();
  const RunResult run = Davit({"exec", "-it", id, "sh", "-c", "tty; true"});
  EXPECT_EQ(run.exit.code, 0);
  EXPECT_NE(run.out.find("not a tty"), std::string::npos) << run.out;
  EXPECT_NE(run.err.find("stdin is no terminal"), std::string::npos) << run.err;
}

TEST_F(CliStream, ASignalLeavesTheTerminalAsItWas) {
  const std::string id = Sleeper();
  Working working(Words({"exec", "-it", id, "sh", "-c", "echo ready; exec sleep 1000"}),
                  Working::With::kTerminal);
  working.Until("ready");
  working.Signal(SIGTERM);
  EXPECT_EQ(working.End(), 1);
  EXPECT_TRUE(working.Echoes());
}

TEST_F(CliStream, AttachToATerminalAndDetach) {
  auto config = ShellContainer("tty", "while read line; do echo got $line; done");
  config.set_stdin(true);
  config.set_tty(true);
  const std::string id = Run(pod_, config);
  for (int i = 0; i < 2; ++i) {
    Working working(Words({"attach", "-it", id}), Working::With::kTerminal);
    // Output that came before it was attached is not for it: typed until it answers.
    Eventually([&] {
      working.Type("hello\n");
      return !working.Echoes();
    });
    working.Type("there\n");
    working.Until("got there");
    working.Type("\x10\x11");
    EXPECT_EQ(working.End(), 0);
    EXPECT_TRUE(working.Echoes());
    EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
  }
}

TEST_F(CliStream, AttachPassesInputOnAndTheContainersExitCode) {
  auto config = ShellContainer("reader", "echo ready; read line; echo $line; exit 4");
  config.set_stdin(true);
  config.set_stdin_once(true);
  const std::string id = Run(pod_, config);
  EXPECT_NE(Davit({"attach", "-t", id}).err.find("has no terminal"), std::string::npos);
  Working working(Words({"attach", "-i", id}), Working::With::kPipes);
  working.Type("answer\n");
  EXPECT_EQ(working.Until("answer\n"), "answer\n");
  EXPECT_EQ(working.End(), 4);
}

UniqueFd ConnectTo(int port, int family = AF_INET) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(static_cast<uint16_t>(port));
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  v6.sin6_addr = in6addr_loopback;
  const bool is_v4 = family == AF_INET;
  const int failed =
      connect(fd.get(), is_v4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6),
              is_v4 ? sizeof(v4) : sizeof(v6));
  return failed == 0 ? std::move(fd) : UniqueFd();
}

// The port of "Forwarding from 127.0.0.1:PORT -> ...".
int LocalPort(const std::string& text) {
  const size_t colon = text.find("127.0.0.1:");
  return std::stoi(text.substr(colon + sizeof("127.0.0.1:") - 1));
}

TEST_F(CliStream, PortForwardCarriesManyConnectionsToTheirEnd) {
  const PodEcho echo(client(), Sleeper(), AF_INET);
  Working working(Words({"port-forward", pod_.id, ":8080", ":8081"}), Working::With::kPipes);
  const int port = LocalPort(working.Until("-> 8080\n"));
  std::vector<std::thread> clients;
  std::array<std::string, 20> answers;
  for (size_t i = 0; i < answers.size(); ++i) {
    clients.emplace_back([&, i] {
      const UniqueFd fd = ConnectTo(port);
      Must(WriteFd(fd.get(), std::string(500'000 + i, 'x'), "a connection"));
      shutdown(fd.get(), SHUT_WR);  // the answer comes only now
      answers[i] = ReadUntil(fd.get(), "");
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i].size(), 500'000 + i);
  }
}

TEST_F(CliStream, PortForwardTellsOfPortsWhereNobodyListens) {
  Working working(Words({"port-forward", pod_.id, ":1"}), Working::With::kPipes);
  const int port = LocalPort(working.Until("-> 1\n"));
  const UniqueFd fd = ConnectTo(port);
  EXPECT_EQ(ReadUntil(fd.get(), ""), "");
  working.Until("davit: port 1: connect to port 1 of the pod");
  const RunResult unknown = Davit({"port-forward", "0123456789ab", "80"});
  EXPECT_NE(unknown.err.find("no container or pod is called"), std::string::npos);
  EXPECT_NE(Davit({"port-forward", pod_.id, "nonsense"}).err.find("LOCAL:REMOTE"),
            std::string::npos);
}

TEST_F(CliStream, LogsReachOverRotations) {
  const std::string id = Run(pod_, ShellContainer("counter",
                                                  "seq 1 10; while [ ! -e /go ]; do sleep 0.1; "
                                                  "done; seq 11 20; exec sleep 1000"));
  const std::string path = LogPath(pod_, "counter");
  AwaitLog(path, "F 10\n");
  Working follower(Words({"logs", "-f", id}), Working::With::kPipes);
  follower.Until("10\n");
  // As the kubelet does it.
  v1::ReopenContainerLogRequest request;
  request.set_container_id(id);
  fs::rename(path, path + ".20260101-000000");
  Must(client().ReopenContainerLog(request));
  MustRun({"gzip", path + ".20260101-000000"});
  fs::rename(path, path + ".20260102-000000");
  Must(client().ReopenContainerLog(request));
  ShellIn(id, "touch /go");
  AwaitLog(path, "F 20\n");
  follower.Until("20\n");
  std::string all;
  for (int i = 1; i <= 20; ++i) {
    all += std::to_string(i) + "\n";
  }
  EXPECT_EQ(Davit({"logs", id}).out, all);
  EXPECT_EQ(Davit({"logs", "--tail", "12", id}).out, all.substr(all.find("9\n")));
  EXPECT_EQ(Davit({"logs", "--since", "1h", id}).out, all);
  EXPECT_EQ(Davit({"logs", "--since", "2099-01-01T00:00:00Z", id}).out, "");
  const std::string timed = Davit({"logs", "-t", "--tail", "1", id}).out;
  EXPECT_TRUE(timed.ends_with("Z 20\n")) << timed;
}

class CliTls : public CliStream {
 protected:
  bool StartsDaemon() override { return false; }
  void SetUp() override {
    E2eTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    certificate_ = daemon().dir() + "/tls.crt";
    const std::string key = daemon().dir() + "/tls.key";
    test_streaming::MakeCertificate(certificate_, key, "davit");
    StartDaemon(
        {.drop_in = "streaming:\n  tls_cert: " + certificate_ + "\n  tls_key: " + key + "\n",
         .failpoints = {}});
    TakeBaseline();
    Pull("busybox");
    pod_ = RunPod("pod");
  }
  std::string certificate_;
};

TEST_F(CliTls, ExecVerifiesTheServer) {
  const std::string id = Sleeper();
  const RunResult trusted =
      Davit({"exec", "-i", "--tls-ca", certificate_, id, "sh", "-c", "cat; exit 3"}, "hello");
  EXPECT_EQ(trusted.exit.code, 3) << trusted.err;
  EXPECT_EQ(trusted.out, "hello");
  const RunResult unknown = Davit({"exec", id, "true"});
  EXPECT_EQ(unknown.exit.code, 1);
  EXPECT_NE(unknown.err.find("--tls-ca"), std::string::npos) << unknown.err;
  RememberDescriptors();  // of the streaming thread
}

}  // namespace
}  // namespace davit::e2e
