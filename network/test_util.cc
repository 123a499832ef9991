// SPDX-License-Identifier: Apache-2.0
#include "network/test_util.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <thread>

#include "base/file.h"
#include "base/id.h"
#include "base/namespace.h"
#include "base/subprocess.h"

namespace davit::network {

void NetworkTest::SetUp() {
  std::string pattern = testing::TempDir() + "davit-network-XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  dir_ = pattern;
  for (const char* name : {"net.d", "bin", "rec", "ipam", "ns"}) {
    ASSERT_TRUE(MakeDirs(Path(name), 0755).ok());
  }
  config_.config_dir = Path("net.d");
  config_.plugin_dirs = {Path("bin"), "/opt/cni/bin", "/usr/lib/cni"};
  config_.cache_dir = Path("cache");
  config_.default_bridge_name = "br-test";
  config_.default_bridge_subnet = "10.201.0.0/24";
  config_.default_bridge_ipam_dir = Path("ipam");
}

void NetworkTest::TearDown() {
  // The pins were mounts of the host thread's namespace: here they are plain files.
  EXPECT_TRUE(RemoveTree(dir_).ok());
}

void NetworkTest::OnHost(const std::function<void()>& body) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root to make namespaces";
  }
  std::thread host([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET | CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    Exec({"/usr/sbin/ip", "link", "set", "lo", "up"});
    body();
  });
  host.join();
}

void NetworkTest::Write(const std::string& path, const std::string& text, int mode) {
  // In place, as an editor that does not rename would.
  absl::StatusOr<UniqueFd> fd = Open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ASSERT_TRUE(fd.ok()) << fd.status();
  ASSERT_TRUE(WriteFd(fd->get(), text, path).ok());
  ASSERT_EQ(fchmod(fd->get(), static_cast<mode_t>(mode)), 0);
}

std::string NetworkTest::Read(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

void NetworkTest::Configure(const std::string& name, const std::string& text) {
  Write(Path("net.d/" + name), text);
}

void NetworkTest::FakePlugin(const std::string& name, const std::string& body) {
  // By rename: a script that is open for writing cannot be executed.
  const std::string text = "#!/bin/sh\nREC=" + Path("rec") + "\n" + body + "\n";
  ASSERT_TRUE(WriteFileAtomic(Path("bin/" + name), text, 0755).ok());
}

std::string NetworkTest::MakePodNs() {
  PinnedNamespaces what;
  what.net = Path("ns/" + NewId());
  const absl::Status status = PinNamespaces(what);
  EXPECT_TRUE(status.ok()) << status;
  return what.net;
}

PodNetwork NetworkTest::MakePod() {
  PodNetwork pod;
  pod.sandbox_id = NewId();
  pod.netns_path = MakePodNs();
  pod.name = "web";
  pod.name_space = "default";
  pod.uid = "0b6e3a3c-uid";
  return pod;
}

std::unique_ptr<Cni> NetworkTest::MakeCni() {
  absl::StatusOr<std::unique_ptr<Cni>> cni = Cni::Create(config_, "test");
  EXPECT_TRUE(cni.ok()) << cni.status();
  return *std::move(cni);
}

std::string NetworkTest::Exec(const std::vector<std::string>& argv) {
  Context ctx(std::chrono::seconds(20));
  SpawnOptions spawn;
  spawn.argv = argv;
  spawn.env = MinimalEnv();
  absl::StatusOr<RunResult> run = davit::Run(ctx, spawn);
  EXPECT_TRUE(run.ok()) << argv[0] << ": " << run.status();
  if (!run.ok()) {
    return "";
  }
  EXPECT_EQ(run->exit.code, 0) << argv[0] << ": " << run->err;
  return run->out;
}

std::string NetworkTest::ExecIn(const std::string& netns, const std::vector<std::string>& argv) {
  std::string output;
  const absl::Status status = RunInNetNs(netns, [&] {
    output = Exec(argv);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return output;
}

std::string NetworkTest::MakeOutside() {
  std::string outside = MakePodNs();
  Exec({kIp, "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", outside});
  Exec({kIp, "addr", "add", std::string(kNode) + "/24", "dev", "out0"});
  Exec({kIp, "addr", "add", std::string(kNode6) + "/64", "dev", "out0", "nodad"});
  Exec({kIp, "link", "set", "out0", "up"});
  ExecIn(outside, {kIp, "link", "set", "lo", "up"});
  ExecIn(outside, {kIp, "addr", "add", std::string(kOutside) + "/24", "dev", "eth0"});
  ExecIn(outside, {kIp, "addr", "add", std::string(kOutside6) + "/64", "dev", "eth0", "nodad"});
  ExecIn(outside, {kIp, "link", "set", "eth0", "up"});
  return outside;
}

std::vector<std::string> NetworkTest::Reserved(const std::string& network) {
  std::vector<std::string> result;
  for (const std::string& name :
       ListDir(Path("ipam/" + network)).value_or(std::vector<std::string>())) {
    if (std::isdigit(static_cast<unsigned char>(name.front())) != 0) {
      result.push_back(name);
    }
  }
  return result;
}

std::vector<std::string> NetworkTest::CacheFiles() {
  return ListDir(Path("cache/results")).value_or(std::vector<std::string>());
}

}  // namespace davit::network
