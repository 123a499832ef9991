// SPDX-License-Identifier: Apache-2.0
//
// Many execs and attachments, at once and one after the other: descriptors and memory of daemon and
// monitors stay where they are. DAVIT_E2E_MASS=100 makes a hundred times as many as the default
// (for 2,000 idle execs, 1 GiB, 10,000 of what comes and goes); the figures are printed.
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <iostream>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"
#include "test/e2e/fixture.h"
#include "test/streaming/spdy_client.h"

namespace davit::e2e {
namespace {

using test_streaming::Connection;
using test_streaming::ParseUrl;
using test_streaming::SpdyClient;

int Scale() {
  const char* scale = getenv("DAVIT_E2E_MASS");
  return scale != nullptr ? std::max(1, atoi(scale)) : 1;
}

// Output, and input where asked for, of one command over SPDY.
struct Session {
  Session(const std::string& text, bool with_input)
      : connection(ParseUrl(text)),
        head(test_streaming::UpgradeToSpdy(connection, ParseUrl(text), "v4.channel.k8s.io")),
        client(test_streaming::SpdyOver(connection)) {
    error = client->Open({{"streamType", "error"}});
    in = with_input ? client->Open({{"streamType", "stdin"}}) : 0;
    out = client->Open({{"streamType", "stdout"}});
  }
  std::string Result() {
    client->Until([this] { return client->stream(error).ended; });
    return client->stream(error).data;
  }

  Connection connection;
  std::string head;
  std::unique_ptr<SpdyClient> client;
  uint32_t error = 0, in = 0, out = 0;
};

struct Usage {
  uint64_t rss_kb = 0;
  uint64_t pss_kb = 0;
  uint64_t private_dirty_kb = 0;
  size_t descriptors = 0;
};

Usage UsageOf(pid_t pid) {
  const std::string dir = "/proc/" + std::to_string(pid);
  const auto field = [text = ReadFile(dir + "/smaps_rollup").value_or("")](const char* name) {
    const size_t at = text.find(std::string("\n") + name + ":");
    return at == std::string::npos ? uint64_t{0} : std::stoull(text.substr(text.find(':', at) + 1));
  };
  const auto fds = ListDir(dir + "/fd");
  return {field("Rss"), field("Pss"), field("Private_Dirty"), fds.ok() ? fds->size() : 0};
}

std::ostream& operator<<(std::ostream& out, const Usage& usage) {
  return out << usage.rss_kb << " kB RSS, " << usage.pss_kb << " kB PSS, " << usage.private_dirty_kb
             << " kB private dirty, " << usage.descriptors << " descriptors";
}

class StreamingMass : public E2eTest {
 protected:
  void SetUp() override {
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    E2eTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    Pull("busybox");
    pod_ = RunPod("pod");
    id_ = Run(pod_, ShellContainer("sleeper", "exec sleep 100000"));
    Session(ExecUrl({"true"}, false), false).Result();  // starts the streaming thread, which stays
    RememberDescriptors();
  }

  std::string ExecUrl(const std::vector<std::string>& command, bool with_input) {
    v1::ExecRequest request;
    request.set_container_id(id_);
    request.mutable_cmd()->Assign(command.begin(), command.end());
    request.set_stdin(with_input);
    request.set_stdout(true);
    return Must(client().Exec(request)).url();
  }
  std::string AttachUrl() {
    v1::AttachRequest request;
    request.set_container_id(id_);
    request.set_stdout(true);
    return Must(client().Attach(request)).url();
  }
  Usage Daemon() { return UsageOf(daemon().pid()); }
  // Of all davit-conmon of this program's daemon: its children, or adopted by whom they were left
  // to.
  std::vector<Usage> Monitors() {
    std::vector<Usage> found;
    for (const std::string& name : Must(ListDir("/proc"))) {
      const auto pid = ParseUint(name);
      const std::string command = pid ? ReadFile("/proc/" + name + "/cmdline").value_or("") : "";
      if (command.find("davit-conmon") != std::string::npos &&
          command.find(daemon().run()) != std::string::npos) {
        found.push_back(UsageOf(static_cast<pid_t>(*pid)));
      }
    }
    return found;
  }
  // Does it again and again; memory after a tenth and at the end.
  void Repeat(const char* what, const std::function<void()>& once) {
    const int count = 100 * Scale();
    Usage early;
    for (int i = 0; i < count; ++i) {
      once();
      if (i == count / 10) {
        early = Daemon();
      }
    }
    EXPECT_TRUE(Eventually([&] { return Monitors().size() == 1; })) << "of the execs are left";
    EXPECT_TRUE(Eventually([&] { return Daemon().descriptors <= early.descriptors; }));
    const Usage end = Daemon();
    std::cout << what << " x " << count << "\n  daemon after a tenth: " << early
              << "\n  daemon at the end: " << end << "\n  monitor: " << Monitors().front() << "\n";
    EXPECT_LE(end.rss_kb, early.rss_kb + 2048);
  }

  Pod pod_;
  std::string id_;
};

TEST_F(StreamingMass, IdleExecs) {
  const Usage before = Daemon();
  std::vector<std::unique_ptr<Session>> idle;
  for (int i = 0; i < 20 * Scale(); ++i) {
    idle.push_back(
        std::make_unique<Session>(ExecUrl({"sh", "-c", "echo ready; exec cat"}, true), true));
    Session& session = *idle.back();
    session.client->Until([&] { return !session.client->stream(session.out).data.empty(); });
  }
  const Usage with = Daemon();
  uint64_t pss = 0;
  uint64_t dirty = 0;
  const auto monitors = Monitors();
  for (const Usage& usage : monitors) {
    pss += usage.pss_kb;
    dirty += usage.private_dirty_kb;
  }
  std::cout << idle.size() << " idle execs\n  daemon before: " << before
            << "\n  daemon with them: " << with << "\n  " << monitors.size()
            << " monitors, together: " << pss << " kB PSS, " << dirty << " kB private dirty\n";
  EXPECT_EQ(monitors.size(), idle.size() + 1);
  EXPECT_LE(with.rss_kb, before.rss_kb + 4096 + 100 * idle.size());
  for (auto& session : idle) {
    session->client->End(session->in);
  }
  for (auto& session : idle) {
    EXPECT_EQ(session->Result(), R"({"metadata":{},"status":"Success"})");
  }
  idle.clear();
  EXPECT_TRUE(Eventually([&] { return Monitors().size() == 1; }));
  std::cout << "  daemon afterwards: " << Daemon() << "\n";
}

TEST_F(StreamingMass, MuchThroughOneExec) {
  const uint64_t bytes = (uint64_t{10} << 20U) * static_cast<uint64_t>(Scale());
  const Usage before = Daemon();
  const auto begin = std::chrono::steady_clock::now();
  Session session(ExecUrl({"head", "-c", std::to_string(bytes), "/dev/zero"}, false), false);
  session.client->Until([&] {
    session.client->stream(session.out).data.clear();
    return session.client->stream(session.error).ended;
  });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(session.client->stream(session.out).received, bytes);
  const Usage after = Daemon();
  std::cout << bytes << " bytes in " << took.count() << " s\n  daemon before: " << before
            << "\n  daemon after: " << after << "\n";
  EXPECT_LE(after.rss_kb, before.rss_kb + 4096);
}

TEST_F(StreamingMass, Execs) {
  Repeat("exec", [&] { Session(ExecUrl({"true"}, false), false).Result(); });
}

TEST_F(StreamingMass, FailedExecs) {
  Repeat("failed exec", [&] {
    EXPECT_NE(Session(ExecUrl({"no-such-command"}, false), false).Result().find("no-such-command"),
              std::string::npos);
  });
}

TEST_F(StreamingMass, Attachments) {
  Repeat("attach and leave", [&] {
    const Session session(AttachUrl(), false);
    session.client->Until([&] { return session.client->stream(session.out).replied; });
  });
}

TEST_F(StreamingMass, ExecSyncs) {
  Repeat("ExecSync", [&] { EXPECT_EQ(Exec(id_, {"true"}).exit_code(), 0); });
}

}  // namespace
}  // namespace davit::e2e
