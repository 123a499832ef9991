// SPDX-License-Identifier: Apache-2.0
//
// The operator's commands against a real daemon.

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using nlohmann::json;

class Cli : public E2eTest {
 protected:
  RunResult Davit(std::vector<std::string> args) {
    args.insert(args.begin(), {DavitPath(), "--socket", daemon().socket()});
    return RunCommand(args);
  }
  std::string MustDavit(const std::vector<std::string>& args) {
    const RunResult run = Davit(args);
    EXPECT_EQ(run.exit.code, 0) << Join(args, " ") << ": " << run.err;
    return run.out;
  }
};

TEST_F(Cli, PullRunLogsExecInspectStopRemove) {
  const std::string image = registry().Image("busybox");
  MustDavit({"pull", image});
  EXPECT_NE(MustDavit({"images"}).find("127.0.0.1:5000/busybox"), std::string::npos);
  const json images = json::parse(MustDavit({"images", "-o", "json"}));
  EXPECT_EQ(images.at("images").at(0).at("repo_tags").at(0), image);
  const json started = json::parse(MustDavit({"-o", "json", "run", "-d", "--name", "demo", image,
                                              "sh", "-c", "echo started; exec sleep 1000"}));
  const std::string pod = started.at("pod");
  const std::string container = started.at("container");
  EXPECT_NE(MustDavit({"pods"}).find(pod.substr(0, 12)), std::string::npos);
  EXPECT_NE(MustDavit({"ps"}).find("demo"), std::string::npos);
  EXPECT_EQ(MustDavit({"ps", "-q"}), container + "\n");
  AwaitLog(Status(container).log_path(), "started");
  EXPECT_EQ(MustDavit({"logs", container.substr(0, 12)}), "started\n");
  EXPECT_EQ(MustDavit({"logs", "--tail", "0", container}), "");
  EXPECT_EQ(MustDavit({"exec", container, "--", "hostname"}), "demo\n");
  RememberDescriptors();  // of the streaming thread, which stays
  const RunResult exec = Davit({"exec", container, "sh", "-c", "echo e >&2; exit 3"});
  EXPECT_EQ(exec.exit.code, 3);
  EXPECT_EQ(exec.err, "e\n");
  EXPECT_NE(MustDavit({"stats"}).find("demo"), std::string::npos);
  EXPECT_TRUE(json::accept(MustDavit({"inspect", container})));
  EXPECT_NE(MustDavit({"inspect", pod}).find(pod), std::string::npos);
  const RunResult refused = Davit({"rm", container});
  EXPECT_NE(refused.exit.code, 0);
  EXPECT_NE(refused.err.find("--force"), std::string::npos) << refused.err;
  MustDavit({"stop", "--timeout", "0", container});
  EXPECT_EQ(MustDavit({"ps", "-q"}), "");
  EXPECT_EQ(MustDavit({"ps", "-a", "-q"}), container + "\n");
  MustDavit({"rm", container});
  MustDavit({"stop", pod});
  MustDavit({"rm", pod});
  EXPECT_TRUE(Pods().empty());
  MustDavit({"rmi", image});
  EXPECT_EQ(MustDavit({"images"}).find("busybox"), std::string::npos);
}

TEST_F(Cli, RunFollowsTheOutputAndGivesTheExitCode) {
  const std::string image = registry().Image("busybox");
  const RunResult run = Davit({"run", "--rm", "-e", "NAME=value", image, "--", "sh", "-c",
                               "echo one $NAME; echo two >&2; exit 9"});
  EXPECT_EQ(run.exit.code, 9) << run.err;
  EXPECT_NE(run.out.find("one value\n"), std::string::npos) << run.out;
  EXPECT_NE((run.out + run.err).find("two\n"), std::string::npos);
  EXPECT_TRUE(Pods().empty()) << "--rm removes the pod";
  EXPECT_TRUE(Containers().empty());
}

TEST_F(Cli, RunOfACommandThatIsMissingLeavesNothing) {
  const std::string image = registry().Image("busybox");
  const RunResult run = Davit({"run", "--rm", image, "no-such-command"});
  EXPECT_NE(run.exit.code, 0);
  EXPECT_NE(run.err.find("executable file not found in $PATH"), std::string::npos) << run.err;
  EXPECT_TRUE(Pods().empty());
}

TEST_F(Cli, RunMountsVolumes) {
  const std::string image = registry().Image("busybox");
  const std::string volume = daemon().dir() + "/volume";
  Must(MakeDirs(volume, 0755));
  Must(WriteFileAtomic(volume + "/file", "ahoy\n", 0644));
  const RunResult run = Davit({"run", "--rm", "-v", volume + ":/v:ro", image, "cat", "/v/file"});
  EXPECT_EQ(run.exit.code, 0) << run.err;
  EXPECT_NE(run.out.find("ahoy\n"), std::string::npos);
}

TEST_F(Cli, StatusAndVersion) {
  const std::string status = MustDavit({"status"});
  EXPECT_NE(status.find("RuntimeReady"), std::string::npos);
  EXPECT_NE(status.find("NetworkReady"), std::string::npos);
  EXPECT_NE(MustDavit({"version"}).find("0.1.0"), std::string::npos);
  EXPECT_TRUE(json::accept(MustDavit({"-o", "json", "status"})));
}

TEST_F(Cli, ErrorsSayWhatToDo) {
  for (const auto& args : std::vector<std::vector<std::string>>{{"exec", "0123456789ab", "true"},
                                                                {"logs", "0123456789ab"},
                                                                {"inspect", "0123456789ab"},
                                                                {"stop", "0123456789ab"},
                                                                {"rm", "0123456789ab"}}) {
    const RunResult run = Davit(args);
    EXPECT_EQ(run.exit.code, 1) << args.front();
    EXPECT_NE(run.err.find("0123456789ab"), std::string::npos) << args.front() << ": " << run.err;
  }
  const RunResult pull = Davit({"pull", "127.0.0.1:5000/none:latest"});
  EXPECT_EQ(pull.exit.code, 1);
  EXPECT_NE(pull.err.find("127.0.0.1:5000/none"), std::string::npos) << pull.err;
  EXPECT_NE(Davit({"nonsense"}).exit.code, 0);
  EXPECT_NE(Davit({"run", "--port", "what", "x"}).exit.code, 0);
}

TEST_F(Cli, WithoutADaemon) {
  EXPECT_EQ(daemon().Stop(), 0);
  for (const auto& args : std::vector<std::vector<std::string>>{{"ps"},
                                                                {"pods"},
                                                                {"images"},
                                                                {"status"},
                                                                {"stats"},
                                                                {"pull", "x"},
                                                                {"run", "x"},
                                                                {"logs", "x"},
                                                                {"exec", "x", "true"},
                                                                {"stop", "x"},
                                                                {"rm", "x"},
                                                                {"inspect", "x"}}) {
    const RunResult run = Davit(args);
    EXPECT_EQ(run.exit.code, 1) << args.front();
    EXPECT_NE(run.err.find("no davit answers on " + daemon().socket()), std::string::npos)
        << args.front() << ": " << run.err;
  }
  EXPECT_EQ(Davit({"config"}).exit.code, 0);
}

class CliConfig : public Cli {
 protected:
  bool StartsDaemon() override { return false; }
};

TEST_F(CliConfig, PrintsWhatItReads) {
  const RunResult defaults = Davit({"config"});
  EXPECT_EQ(defaults.exit.code, 0) << defaults.err;
  const std::string file = daemon().dir() + "/printed.yaml";
  Must(WriteFileAtomic(file, defaults.out));
  EXPECT_EQ(Davit({"config", "--check", file}).exit.code, 0);
  EXPECT_EQ(Davit({"config", "--config", file}).out, defaults.out);
}

TEST_F(CliConfig, NamesFileLineAndKeyOfAMistake) {
  const std::string file = daemon().dir() + "/bad.yaml";
  Must(WriteFileAtomic(file, "log_level: info\nruntime:\n  pids_limit: many\n"));
  const RunResult type = Davit({"config", "--check", file});
  EXPECT_NE(type.exit.code, 0);
  EXPECT_NE(type.err.find(file + ":3:"), std::string::npos) << type.err;
  EXPECT_NE(type.err.find("runtime.pids_limit"), std::string::npos) << type.err;
  Must(WriteFileAtomic(file, "runtime:\n  no_such_key: 1\n"));
  const RunResult key = Davit({"config", "--check", file});
  EXPECT_NE(key.exit.code, 0);
  EXPECT_NE(key.err.find(file + ":2:"), std::string::npos) << key.err;
  EXPECT_NE(key.err.find("no_such_key"), std::string::npos) << key.err;
  EXPECT_NE(Davit({"config", "--check", "/no/such/file.yaml"}).exit.code, 0);
}

}  // namespace
}  // namespace davit::e2e
