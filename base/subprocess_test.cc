// SPDX-License-Identifier: Apache-2.0
#include "base/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "base/proc.h"
#include "base/test_util.h"
#include "base/text.h"

namespace davit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

SpawnOptions Shell(const std::string& script) {
  return {.argv = {"/bin/sh", "-c", script}, .env = MinimalEnv()};
}

absl::StatusOr<RunResult> RunShell(const std::string& script, const RunOptions& run = {}) {
  Context ctx(seconds(30));
  return davit::Run(ctx, Shell(script), run);
}

TEST(Subprocess, CollectsOutputAndExit) {
  const auto result = RunShell("echo out; echo err >&2; exit 7");
  ASSERT_OK(result);
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->exit.code, 7);
  EXPECT_EQ(result->exit.signal, 0);
  EXPECT_FALSE(result->truncated);
  const auto killed = RunShell("kill -9 $$");
  EXPECT_EQ(killed->exit.code, 137);
  EXPECT_EQ(killed->exit.signal, SIGKILL);
}

TEST(Subprocess, FeedsInputToItsEnd) {
  const std::string input(300'000, 'i');
  const auto result = RunShell("cat; cat", {.input = input});
  ASSERT_OK(result);
  EXPECT_EQ(result->out, input);
  // A child that does not read must not kill us with SIGPIPE, nor block.
  EXPECT_OK(RunShell("exit 0", {.input = input}));
  EXPECT_EQ(RunShell("cat")->out, "");  // /dev/null
  EXPECT_EQ(RunShell("cat /dev/stdin", {.input = "x"})->out, "x");
}

TEST(Subprocess, CapsOutputAndDrainsTheRest) {
  const auto result =
      RunShell("head -c 5000000 /dev/zero; head -c 10 /dev/zero >&2; exit 3", {.max_output = 1000});
  ASSERT_OK(result);
  EXPECT_EQ(result->out.size(), 1000U);
  EXPECT_EQ(result->err.size(), 10U);
  EXPECT_TRUE(result->truncated);
  EXPECT_EQ(result->exit.code, 3);
  EXPECT_FALSE(RunShell("head -c 1000 /dev/zero", {.max_output = 1000})->truncated);
}

TEST(Subprocess, ExecutesWhatADescriptorIs) {
  UniqueFd program(open("/bin/sh", O_RDONLY | O_CLOEXEC));
  const UniqueFd file(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  SpawnOptions options = {.argv = {"/no/such/program", "-c", "echo $0; ls /proc/self/fd"},
                          .env = MinimalEnv(),
                          // In the way of it.
                          .fds = {{file.get(), program.get()}},
                          .program = program.get()};
  Context ctx(seconds(10));
  const auto result = davit::Run(ctx, options);
  ASSERT_OK(result);
  EXPECT_EQ(result->exit.code, 0) << result->err;
  EXPECT_EQ(result->out.substr(0, 17), "/no/such/program\n");
  // 0, 1, 2, the one given, that of the listed directory: not the program.
  EXPECT_EQ(Split(std::string(Trim(result->out)), '\n').size(), 6U) << result->out;
}

TEST(Subprocess, MissingProgramIsNotFound) {
  Context ctx;
  const auto result = davit::Run(ctx, {.argv = {"/no/such/program"}, .env = {}});
  EXPECT_TRUE(absl::IsNotFound(result.status()));
  EXPECT_NE(Message(result.status()).find("/no/such/program"), std::string::npos);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "the failed child was not reaped";
  EXPECT_TRUE(absl::IsPermissionDenied(Spawn({.argv = {"/etc/passwd"}, .env = {}}).status()));
}

TEST(Subprocess, RefusesBadOptions) {
  EXPECT_TRUE(absl::IsInvalidArgument(Spawn({}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Spawn({.argv = {"sh"}, .env = {}}).status()));
  SpawnOptions nul = Shell("true");
  nul.argv.push_back(std::string("a\0b", 3));
  EXPECT_TRUE(absl::IsInvalidArgument(Spawn(nul).status()));
  SpawnOptions twice = Shell("true");
  twice.fds = {{0, 5}, {1, 5}};
  EXPECT_TRUE(absl::IsInvalidArgument(Spawn(twice).status()));
  SpawnOptions closed = Shell("true");
  closed.fds = {{-1, 5}};
  EXPECT_TRUE(absl::IsInvalidArgument(Spawn(closed).status()));
  SpawnOptions stale = Shell("true");
  stale.fds = {{98765, 5}};
  EXPECT_FALSE(Spawn(stale).ok());
  SpawnOptions cwd = Shell("true");
  cwd.cwd = "/no/such/dir";
  EXPECT_NE(Message(Spawn(cwd).status()).find("/no/such/dir"), std::string::npos);
}

TEST(Subprocess, ChildHasTheListedDescriptorsOnly) {
  // One that is not close-on-exec, as a careless library would leave it.
  const int leaky = fcntl(0, F_DUPFD, 100);
  const UniqueFd null_fd = *Open("/dev/null", O_RDONLY);
  SpawnOptions options = {.argv = {"/bin/ls", "/proc/self/fd"}, .env = MinimalEnv()};
  options.fds = {{null_fd.get(), 9}, {null_fd.get(), 5}};
  Context ctx(seconds(30));
  const auto result = davit::Run(ctx, options);
  close(leaky);
  ASSERT_OK(result);
  // 3 is ls's own directory.
  EXPECT_EQ(Words(result->out), (std::vector<std::string>{"0", "1", "2", "3", "5", "9"}));
}

TEST(Subprocess, MappingsMaySwapNumbers) {
  test::TempDir dir;
  const UniqueFd a = *Open(dir / "a", O_RDWR | O_CREAT);
  const UniqueFd b = *Open(dir / "b", O_RDWR | O_CREAT);
  SpawnOptions options = Shell(fmt::format("echo to-b >&{}; echo to-a >&{}", a.get(), b.get()));
  options.fds = {{a.get(), b.get()}, {b.get(), a.get()}};
  Context ctx(seconds(30));
  ASSERT_OK(davit::Run(ctx, options));
  EXPECT_EQ(*ReadFile(dir / "a"), "to-a\n");
  EXPECT_EQ(*ReadFile(dir / "b"), "to-b\n");
}

TEST(Subprocess, SignalsEnvironmentAndDirectoryAreFresh) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto old = signal(SIGPIPE, SIG_IGN);
  setenv("LEAKED", "1", 1);
  Context ctx(seconds(30));
  const auto result =
      davit::Run(ctx, {.argv = {"/bin/sh", "-c", "grep Sig /proc/self/status; env; pwd"},
                       .env = {"ONLY=this"},
                       .cwd = "/tmp"});
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  signal(SIGPIPE, old);
  unsetenv("LEAKED");
  ASSERT_OK(result);
  EXPECT_NE(result->out.find("SigBlk:\t0000000000000000"), std::string::npos) << result->out;
  EXPECT_NE(result->out.find("SigIgn:\t0000000000000000"), std::string::npos) << result->out;
  EXPECT_NE(result->out.find("ONLY=this"), std::string::npos);
  EXPECT_EQ(result->out.find("LEAKED"), std::string::npos);
  EXPECT_NE(result->out.find("/tmp\n"), std::string::npos);
  // And the parent's own mask is as before.
  sigset_t now;
  pthread_sigmask(SIG_BLOCK, nullptr, &now);
  EXPECT_EQ(sigismember(&now, SIGUSR1), sigismember(&before, SIGUSR1));
}

TEST(Subprocess, DeadlineKillsTheWholeSession) {
  test::TempDir dir;
  SpawnOptions options = Shell("sleep 1000 & echo $! > " + (dir / "pid") + "; sleep 1000");
  options.new_session = true;
  std::atomic<bool> started{false};
  Context ctx(seconds(60));
  std::thread canceller([&] {
    started = test::Eventually([&] { return ReadFile(dir / "pid").value_or("").size() > 1; });
    ctx.Cancel();
  });
  const auto result = davit::Run(ctx, options);
  canceller.join();
  EXPECT_TRUE(started);
  EXPECT_TRUE(absl::IsCancelled(result.status())) << result.status();
  const auto grandchild = static_cast<pid_t>(*ParseInt(Trim(*ReadFile(dir / "pid"))));
  EXPECT_TRUE(test::Eventually([&] {
    const auto stat = ReadFile(fmt::format("/proc/{}/stat", grandchild));
    return !stat.ok() || stat->find(") Z ") != std::string::npos;
  }));
}

TEST(Subprocess, DeadlineEndsAChildThatIgnoresSigterm) {
  Context ctx(milliseconds(100));
  const auto begin = Context::Clock::now();
  const auto result = davit::Run(ctx, Shell("trap '' TERM; while :; do sleep 1; done"));
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  EXPECT_LT(Context::Clock::now() - begin, seconds(8));
  Context ended(milliseconds(0));
  EXPECT_TRUE(absl::IsDeadlineExceeded(davit::Run(ended, Shell("true")).status()));
}

TEST(Subprocess, AGrandchildThatHoldsThePipesDoesNotHang) {
  Context ctx(seconds(30));
  const auto begin = Context::Clock::now();
  SpawnOptions options = Shell("echo before; sleep 20 & echo $!");
  const auto result = davit::Run(ctx, options);
  ASSERT_OK(result);
  EXPECT_LT(Context::Clock::now() - begin, seconds(10));
  const std::vector<std::string> words = Words(result->out);
  ASSERT_EQ(words.size(), 2U);
  EXPECT_EQ(words[0], "before");
  kill(static_cast<pid_t>(*ParseInt(words[1])), SIGKILL);
}

TEST(Subprocess, ManyAtOnce) {
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 10; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string text = fmt::format("{}-{}", t, i);
        const auto result = RunShell("cat; exit 5", {.input = text});
        good += result.ok() && result->out == text && result->exit.code == 5 ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(good.load(), 100);
}

TEST(Subprocess, SpawnWaitKill) {
  const auto process = Spawn(Shell("sleep 1000"));
  ASSERT_OK(process);
  Context shortly(milliseconds(20));
  EXPECT_TRUE(absl::IsDeadlineExceeded(process->Wait(shortly).status()));
  EXPECT_NE(fcntl(process->pidfd(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_OK(process->Kill(SIGTERM));
  Context ctx(seconds(30));
  EXPECT_EQ(process->Wait(ctx)->signal, SIGTERM);
  EXPECT_FALSE(process->Wait(ctx).ok()) << "a second wait finds no child";
  EXPECT_TRUE(absl::IsNotFound(process->Kill(SIGTERM)));
}

TEST(Subprocess, WritesItselfIntoSeveralCgroups) {
  test::TempDir dir;
  ASSERT_OK(WriteFileAtomic(dir / "a", ""));
  ASSERT_OK(WriteFileAtomic(dir / "b", ""));
  SpawnOptions options = Shell("true");
  options.cgroup_procs = (dir / "a") + "\n" + (dir / "b");
  Context ctx(seconds(30));
  EXPECT_OK(davit::Run(ctx, options));
  EXPECT_EQ(*ReadFile(dir / "a"), "0");
  EXPECT_EQ(*ReadFile(dir / "b"), "0");
  options.cgroup_procs += "\n" + (dir / "none");
  const auto failed = davit::Run(ctx, options);
  EXPECT_NE(Message(failed.status()).find(dir / "none"), std::string::npos) << failed.status();
}

TEST(Subprocess, FindsPrograms) {
  EXPECT_OK(FindProgram("sh"));
  EXPECT_EQ(*FindProgram("/bin/sh"), "/bin/sh");
  EXPECT_TRUE(absl::IsNotFound(FindProgram("no-such-program-here").status()));
  EXPECT_TRUE(absl::IsNotFound(FindProgram("/etc/passwd").status()));
  EXPECT_TRUE(absl::IsNotFound(FindProgram("/bin").status()));
  EXPECT_TRUE(absl::IsNotFound(FindProgram("").status()));
}

TEST(Subprocess, RunsOnTheCpusOfItsOptions) {
  const CpuSet all = GetAffinity(0).value_or(CpuSet());
  const auto cpus = [](const CpuSet& wanted) {
    SpawnOptions options = Shell("grep Cpus_allowed_list /proc/self/status");
    options.cpus = wanted;
    Context ctx(seconds(30));
    const auto result = davit::Run(ctx, options);
    EXPECT_OK(result);
    return result.ok() ? result->out.substr(result->out.rfind('\t') + 1) : "";
  };
  EXPECT_EQ(cpus({}), CpuListText(all) + "\n");
  EXPECT_EQ(cpus({*all.rbegin()}), std::to_string(*all.rbegin()) + "\n");
  EXPECT_EQ(cpus({*all.begin(), kMaxCpus - 1}), std::to_string(*all.begin()) + "\n");
  EXPECT_EQ(cpus({kMaxCpus - 1}), CpuListText(all) + "\n") << "none of them is there";
  EXPECT_EQ(GetAffinity(0).value_or(CpuSet()), all);
}

TEST(Proc, StartTimeChildrenAndSession) {
  const auto child = Spawn(Shell("sleep 1000"));
  ASSERT_OK(child);
  const auto start = ProcessStartTime(child->pid());
  ASSERT_OK(start);
  EXPECT_GE(*start, *ProcessStartTime(getpid()));
  const std::vector<pid_t> children = ChildrenOf(getpid());
  EXPECT_NE(std::find(children.begin(), children.end(), child->pid()), children.end());
  EXPECT_OK(OpenPidfd(child->pid()));
  EXPECT_OK(child->Kill(SIGKILL));
  Context ctx(seconds(30));
  EXPECT_OK(child->Wait(ctx));
  EXPECT_TRUE(absl::IsNotFound(OpenPidfd(child->pid()).status()));
  EXPECT_TRUE(absl::IsNotFound(ProcessStartTime(child->pid()).status()));
  EXPECT_TRUE(ChildrenOf(child->pid()).empty());
}

TEST(Proc, AHostileProcessNameDoesNotConfuse) {
  test::TempDir dir;
  // The name holds what looks like the end of the name and more fields.
  const std::string program = dir / "x) R 1 1 1";
  ASSERT_EQ(symlink("/bin/sleep", program.c_str()), 0);
  SpawnOptions options = {.argv = {program, "1000"}, .env = {}};
  options.new_session = true;
  const auto child = Spawn(options);
  ASSERT_OK(child);
  EXPECT_GE(*ProcessStartTime(child->pid()), *ProcessStartTime(getpid()));
  EXPECT_EQ(SessionMembers(child->pid()), std::vector<pid_t>{child->pid()});
  EXPECT_OK(child->Kill(SIGKILL));
  Context ctx(seconds(30));
  EXPECT_OK(child->Wait(ctx));
}

TEST(Proc, LowestOomScoreAdjIsInRange) {
  const int lowest = LowestOomScoreAdj();
  EXPECT_GE(lowest, -1000);
  EXPECT_LE(lowest, 1000);
  const std::string script = fmt::format("echo {} > /proc/self/oom_score_adj", lowest);
  EXPECT_EQ(RunShell(script)->exit.code, 0) << "the kernel refuses " << lowest;
}

}  // namespace
}  // namespace davit
