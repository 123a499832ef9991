// SPDX-License-Identifier: Apache-2.0
//
// What goes in and out of containers: ExecSync and logs.
#include <sys/mount.h>

#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

class Io : public E2eTest {
 protected:
  void SetUp() override {
    E2eTest::SetUp();
    if (!IsSkipped()) {
      Pull("busybox");
      pod_ = RunPod("pod");
    }
  }

  std::string RunShell(const std::string& name, const std::string& script) {
    return Run(pod_, ShellContainer(name, script));
  }
  absl::StatusOr<v1::ExecSyncResponse> TryExec(const std::string& id, const std::string& script,
                                               int64_t timeout_seconds = 0) {
    v1::ExecSyncRequest request;
    request.set_container_id(id);
    request.add_cmd("sh");
    request.add_cmd("-c");
    request.add_cmd(script);
    request.set_timeout(timeout_seconds);
    return client().ExecSync(request);
  }

  Pod pod_;
};

TEST_F(Io, ExecGivesOutputAndExitCode) {
  const std::string id = RunShell("sleeper", "exec sleep 1000");
  const auto response = Must(TryExec(id, "echo out; echo err >&2; exit 5"));
  EXPECT_EQ(response.stdout(), "out\n");
  EXPECT_EQ(response.stderr(), "err\n");
  EXPECT_EQ(response.exit_code(), 5);
  EXPECT_EQ(Must(TryExec(id, "kill -9 $$")).exit_code(), 137);
  EXPECT_EQ(Exec(id, {"true"}).exit_code(), 0);
  EXPECT_EQ(Must(TryExec(id.substr(0, 12), "hostname")).stdout(), "pod\n");
}

TEST_F(Io, ExecThatTakesTooLongIsKilled) {
  const std::string id = RunShell("sleeper", "exec sleep 1000");
  const auto begun = std::chrono::steady_clock::now();
  ExpectError(TryExec(id, "sleep 987 & sleep 654", 1).status(), Code::kDeadlineExceeded,
              "timed out after 1 s");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 15s);
  EXPECT_TRUE(Eventually([&] {
    const std::string processes = ShellIn(id, "ps -o args");
    return processes.find("sleep 987") == std::string::npos &&
           processes.find("sleep 654") == std::string::npos;
  })) << ShellIn(id, "ps -o pid,args");
  EXPECT_EQ(Status(id).state(), v1::CONTAINER_RUNNING);
}

TEST_F(Io, ExecOutputIsLimitedTo16MiB) {
  const std::string id = RunShell("sleeper", "exec sleep 1000");
  constexpr size_t kLimit = size_t{16} << 20U;
  const auto response = Must(TryExec(id, "head -c 20000000 /dev/zero | tr '\\0' 'x'; echo e >&2"));
  EXPECT_EQ(response.stdout().size(), kLimit);
  EXPECT_EQ(response.stderr(), "e\n");
  EXPECT_EQ(response.exit_code(), 0);
}

TEST_F(Io, ExecOfWhatIsNotThere) {
  const std::string id = RunShell("sleeper", "exec sleep 1000");
  v1::ExecSyncRequest request;
  request.set_container_id(id);
  request.add_cmd("no-such-command");
  const auto response = client().ExecSync(request);
  const std::string told =
      response.ok() ? response->stderr() : std::string(response.status().message());
  EXPECT_NE(told.find("no-such-command"), std::string::npos) << told;
  request.clear_cmd();
  ExpectError(client().ExecSync(request).status(), Code::kInvalidArgument, "no command");
  EXPECT_TRUE(StopContainer(id, 0).ok());
  EXPECT_FALSE(TryExec(id, "true").ok());
  EXPECT_EQ(TryExec(std::string(64, 'a'), "true").status().code(), Code::kNotFound);
}

TEST_F(Io, ManyExecsAtOnce) {
  const std::string id = RunShell("sleeper", "exec sleep 1000");
  std::array<absl::StatusOr<v1::ExecSyncResponse>, 10> results;
  std::vector<std::thread> callers;
  for (size_t i = 0; i < results.size(); ++i) {
    callers.emplace_back([&, i] {
      results[i] = TryExec(id, "echo " + std::to_string(i) + "; exit " + std::to_string(i));
    });
  }
  for (auto& caller : callers) {
    caller.join();
  }
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(Must(results[i]).exit_code(), static_cast<int>(i));
    EXPECT_EQ(results[i]->stdout(), std::to_string(i) + "\n");
  }
}

TEST_F(Io, LongLinesAreLoggedInPartsAndLinesWithoutEndAreKept) {
  const std::string id =
      RunShell("long", "head -c 40000 /dev/zero | tr '\\0' 'y'; echo; echo; printf 'no end'");
  AwaitExit(id);
  const auto lines = Log(LogPath(pod_, "long"));
  ASSERT_GE(lines.size(), 4U);
  EXPECT_FALSE(lines.front().full);
  EXPECT_LE(lines.front().text.size(), 16384U);
  std::string text;
  for (const auto& line : lines) {
    text += line.text + (line.full ? "\n" : "");
  }
  EXPECT_EQ(text.substr(0, 40002), std::string(40000, 'y') + "\n\n");
  EXPECT_NE(text.find("no end"), std::string::npos);
}

TEST_F(Io, AnnotationsLimitTheLogAndTheLogSaysSo) {
  auto flood = ShellContainer("flood", "seq 1 20000; echo end; exec sleep 1000");
  (*flood.mutable_annotations())["davit.io/log-rate-limit"] = "10Ki";
  const std::string id = Run(pod_, flood);
  AwaitLog(LogPath(pod_, "flood"), "left out: over the limit of 10240 bytes a second");
  const std::string log = Must(ReadFile(LogPath(pod_, "flood")));
  EXPECT_LT(log.size(), 40U << 10U);
  EXPECT_NE(log.find(" stdout F 1\n"), std::string::npos);

  auto large = ShellContainer("large", "seq 1 5000; exec sleep 1000");
  (*large.mutable_annotations())["davit.io/log-max-size"] = "20Ki";
  Run(pod_, large);
  AwaitLog(LogPath(pod_, "large"), "has reached its limit of 20480 bytes");
  EXPECT_LT(Must(ReadFile(LogPath(pod_, "large"))).size(), 21U << 10U);

  auto wrong = ShellContainer("wrong", "true");
  (*wrong.mutable_annotations())["davit.io/log-max-size"] = "plenty";
  ExpectError(client().CreateContainer(CreateRequest(pod_, wrong)).status(), Code::kInvalidArgument,
              "davit.io/log-max-size");
}

// Rotates the log as the kubelet does while the container writes as fast as it can.
TEST_F(Io, ReopenUnderLoadLosesNothing) {
  constexpr int kLines = 60000;
  const std::string path = LogPath(pod_, "writer");
  const std::string id = RunShell("writer", "seq 1 " + std::to_string(kLines));
  v1::ReopenContainerLogRequest request;
  request.set_container_id(id);
  int rotations = 0;
  while (Status(id).state() == v1::CONTAINER_RUNNING && rotations < 50) {
    const std::string old = path + "." + std::to_string(rotations);
    if (rename(path.c_str(), old.c_str()) == 0) {
      ++rotations;
    }
    const auto reopened = client().ReopenContainerLog(request);
    if (!reopened.ok()) {
      EXPECT_EQ(reopened.status().code(), Code::kFailedPrecondition) << reopened.status();
    }
  }
  AwaitExit(id);
  std::string text;
  for (int i = 0; i < rotations; ++i) {
    text += LogText(path + "." + std::to_string(i));
  }
  if (PathExists(path)) {
    text += LogText(path);
  }
  std::string expected;
  for (int i = 1; i <= kLines; ++i) {
    expected += std::to_string(i) + "\n";
  }
  EXPECT_EQ(text.size(), expected.size());
  EXPECT_TRUE(text == expected) << "after " << rotations << " rotations";
}

// The container goes on, and so does its log when there is space again.
TEST_F(Io, AFullDiskLosesLinesAndNothingElse) {
  const std::string path = LogPath(pod_, "writer");
  const std::string dir = path.substr(0, path.rfind('/'));
  Must(MakeDirs(dir, 0755));
  ASSERT_EQ(mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=64k"), 0);
  const std::string id = RunShell("writer",
                                  "seq 1 20000; echo written > /written; while [ ! -e /go ]; do "
                                  "sleep 0.1; done; echo space again; exec sleep 1000");
  EXPECT_TRUE(Eventually([&] { return ShellIn(id, "cat /written || true") == "written\n"; }));
  EXPECT_LE(Must(ReadFile(path)).size(), 64U << 10U);
  Must(RemoveFile(path));
  v1::ReopenContainerLogRequest request;
  request.set_container_id(id);
  Must(client().ReopenContainerLog(request));
  ShellIn(id, "touch /go");
  AwaitLog(path, " stdout F space again");
  EXPECT_TRUE(StopContainer(id, 0).ok());
  RemoveContainer(id);
  ASSERT_EQ(umount2(dir.c_str(), MNT_DETACH), 0);
}

TEST_F(Io, ReopenOfWhatDoesNotRun) {
  const std::string id = RunShell("ended", "true");
  AwaitExit(id);
  v1::ReopenContainerLogRequest request;
  request.set_container_id(id);
  EXPECT_EQ(client().ReopenContainerLog(request).status().code(), Code::kFailedPrecondition);
  request.set_container_id(std::string(64, 'a'));
  EXPECT_EQ(client().ReopenContainerLog(request).status().code(), Code::kNotFound);
}

TEST_F(Io, NoLogPathIsNoLog) {
  auto config = ShellContainer("silent", "echo nobody reads this");
  config.clear_log_path();
  EXPECT_EQ(AwaitExit(Run(pod_, config)).exit_code(), 0);
  EXPECT_EQ(Status(Containers()[0].id()).log_path(), "");
}

}  // namespace
}  // namespace davit::e2e
