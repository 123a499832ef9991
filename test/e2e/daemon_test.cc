// SPDX-License-Identifier: Apache-2.0
//
// The daemon itself: start, stop, two of them, what it says about the node.

#include <signal.h>

#include <gtest/gtest.h>

#include "base/file.h"
#include "test/e2e/fixture.h"
#include "test/e2e/isolation.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

class Daemon : public E2eTest {};

TEST_F(Daemon, SaysItsVersion) {
  const auto version = Must(client().Version());
  EXPECT_EQ(version.version(), "0.1.0");
  EXPECT_EQ(version.runtime_name(), "davit");
  EXPECT_FALSE(version.runtime_version().empty());
  EXPECT_EQ(version.runtime_api_version(), "v1");
}

const v1::RuntimeCondition& Condition(const v1::StatusResponse& status, const std::string& type) {
  for (const auto& condition : status.status().conditions()) {
    if (condition.type() == type) {
      return condition;
    }
  }
  throw std::runtime_error("no condition " + type);
}

TEST_F(Daemon, IsReadyAndNamesItsRuntimes) {
  v1::StatusRequest request;
  const auto plain = Must(client().Status(request));
  EXPECT_TRUE(Condition(plain, "RuntimeReady").status());
  EXPECT_TRUE(Condition(plain, "NetworkReady").status())
      << Condition(plain, "NetworkReady").message();
  EXPECT_TRUE(plain.info().empty());
  ASSERT_GE(plain.runtime_handlers_size(), 1);
  EXPECT_EQ(plain.runtime_handlers(0).name(), "");
  request.set_verbose(true);
  EXPECT_FALSE(Must(client().Status(request)).info().empty());
}

TEST_F(Daemon, FollowsTheNetworkConfiguration) {
  Must(WriteFileAtomic(daemon().net_d() + "/10-broken.conflist", "{\"name\": ", 0644));
  const auto broken = Must(client().Status());
  EXPECT_FALSE(Condition(broken, "NetworkReady").status());
  EXPECT_NE(Condition(broken, "NetworkReady").message().find("10-broken.conflist"),
            std::string::npos);
  EXPECT_TRUE(Condition(broken, "RuntimeReady").status());
  Must(WriteFileAtomic(daemon().net_d() + "/10-broken.conflist",
                       R"({"cniVersion":"1.0.0","name":"x","plugins":[{"type":"no-such-plugin"}]})",
                       0644));
  const auto missing = Must(client().Status());
  EXPECT_FALSE(Condition(missing, "NetworkReady").status());
  EXPECT_NE(Condition(missing, "NetworkReady").message().find("no-such-plugin"), std::string::npos);
  Must(RemoveFile(daemon().net_d() + "/10-broken.conflist"));
  EXPECT_TRUE(Condition(Must(client().Status()), "NetworkReady").status());
}

TEST_F(Daemon, TellsItsCgroupDriverAndTakesAPodCidr) {
  EXPECT_EQ(Must(client().RuntimeConfig()).linux().cgroup_driver(),
            BySystemd() ? v1::SYSTEMD : v1::CGROUPFS);
  v1::UpdateRuntimeConfigRequest request;
  request.mutable_runtime_config()->mutable_network_config()->set_pod_cidr("10.200.0.0/24");
  EXPECT_TRUE(client().UpdateRuntimeConfig(request).ok());
}

TEST_F(Daemon, NamesTheMethodsThatItDoesNotServe) {
  v1::RestorePodRequest restore;
  restore.set_checkpoint_path("/checkpoint.tar");
  ExpectError(client().RestorePod(restore).status(), Code::kUnimplemented, "/checkpoint.tar");
  ExpectError(client().CallEmpty("CheckpointContainer"), Code::kInvalidArgument, "container ID");
  ExpectError(client().CallEmpty("CheckpointPod"), Code::kInvalidArgument, "sandbox ID");
}

TEST_F(Daemon, StopsThoughSomebodyListensToEvents) {
  EventStream events = client().Events();
  EXPECT_EQ(daemon().Stop(), 0);
  ExpectError(events.Next().status(), Code::kUnavailable, "stopping");
}

TEST_F(Daemon, RefusesASecondOneOnItsRootRunAndSocket) {
  TestDaemon other;
  const auto root =
      other.RunToEnd({.drop_in = "storage: {root: " + daemon().root() + "}", .failpoints = {}});
  EXPECT_NE(root.exit.code, 0);
  EXPECT_NE(root.err.find(daemon().root()), std::string::npos) << root.err;
  EXPECT_NE(root.err.find(std::to_string(daemon().pid())), std::string::npos) << root.err;
  const auto run =
      other.RunToEnd({.drop_in = "storage: {run: " + daemon().run() + "}", .failpoints = {}});
  EXPECT_NE(run.exit.code, 0);
  EXPECT_NE(run.err.find(daemon().run()), std::string::npos) << run.err;
  const auto socket = other.RunToEnd({.drop_in = "socket: " + daemon().socket(), .failpoints = {}});
  EXPECT_NE(socket.exit.code, 0);
  EXPECT_NE(socket.err.find(daemon().socket()), std::string::npos) << socket.err;
  EXPECT_TRUE(client().Version().ok()) << "the first goes on";
}

TEST_F(Daemon, SecondOneBesideItWorks) {
  TestDaemon other;
  other.Start();
  EXPECT_TRUE(other.client().Version().ok());
  EXPECT_EQ(other.Stop(), 0);
}

TEST_F(Daemon, StartsOverTheSocketOfOneThatWasKilled) {
  daemon().Kill();
  EXPECT_TRUE(PathExists(daemon().socket()));
  StartDaemon({.drop_in = {}, .failpoints = {}});
  EXPECT_TRUE(client().Version().ok());
}

TEST_F(Daemon, SaysWhatIsWrongWithItsConfiguration) {
  TestDaemon other;
  const auto run = other.RunToEnd({.drop_in = "runtime:\n  pids_limit: many\n", .failpoints = {}});
  EXPECT_NE(run.exit.code, 0);
  EXPECT_NE(run.err.find("10-test.yaml:2"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("runtime.pids_limit"), std::string::npos) << run.err;
}

TEST_F(Daemon, DoesNotStartWithARuntimeThatIsMissing) {
  TestDaemon other;
  const auto run = other.RunToEnd(
      {.drop_in = "runtime:\n  default_handler: gone\n  handlers: {gone: {path: /no/such/runtime}}",
       .failpoints = {}});
  EXPECT_NE(run.exit.code, 0);
  EXPECT_NE(run.err.find("/no/such/runtime"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace davit::e2e
