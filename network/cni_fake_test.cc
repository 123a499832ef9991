// SPDX-License-Identifier: Apache-2.0
//
// The contract against plugins that record, fail, hang and lie.
#include <signal.h>

#include <chrono>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/namespace.h"
#include "base/status.h"
#include "base/text.h"
#include "network/test_util.h"

namespace davit::network {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr char kGoodResult[] = R"(echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.8.7/24"}]}')";

class CniFakeTest : public NetworkTest {
 protected:
  // A plugin that notes each call, with its stdin and environment.
  void RecordingPlugin(const std::string& name, const std::string& then) {
    FakePlugin(name, "cat > $REC/" + name + ".$CNI_COMMAND.json; env > $REC/" + name +
                         ".$CNI_COMMAND.env; echo \"" + name + " $CNI_COMMAND\" >> $REC/calls\n" +
                         then);
  }
  // A network of one or two fake plugins.
  void ConfigureFakes(const std::vector<std::string>& types, const std::string& version = "1.0.0") {
    json plugins = json::array();
    for (const std::string& type : types) {
      plugins.push_back(
          {{"type", type},
           {"capabilities", {{"portMappings", true}, {"bandwidth", true}, {"dns", true}}}});
    }
    Configure("10-fake.conflist",
              DumpJson({{"cniVersion", version}, {"name", "fakenet"}, {"plugins", plugins}}));
  }
  json Recorded(const std::string& name) {
    return ParseJson(Read(Path("rec/" + name + ".json")), name).value_or(json());
  }
  std::string Calls() {
    std::string calls = PathExists(Path("rec/calls")) ? Read(Path("rec/calls")) : "";
    for (char& c : calls) {
      c = c == '\n' ? ';' : c;
    }
    return calls;
  }
  // ADD with a network of one plugin that does `body`; everything must be undone.
  absl::Status AddFails(const std::string& body, milliseconds timeout = milliseconds(20000)) {
    FakePlugin("bad", "[ $CNI_COMMAND = DEL ] && { echo DEL >> $REC/dels; exit 0; }\n" + body);
    ConfigureFakes({"bad"});
    config_.add_timeout = timeout;
    Context ctx(std::chrono::seconds(30));
    const absl::Status status = MakeCni()->Add(ctx, MakePod()).status();
    EXPECT_TRUE(CacheFiles().empty()) << Join(CacheFiles(), " ");
    EXPECT_EQ(Read(Path("rec/dels")), "DEL\n");
    EXPECT_NE(Message(status).find("bad"), std::string::npos) << status;
    return status;
  }
};

TEST_F(CniFakeTest, GivesPluginsWhatTheyNeed) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    RecordingPlugin("two", kGoodResult);
    ConfigureFakes({"one", "two"});
    PodNetwork pod = MakePod();
    pod.port_mappings = {{8080, 80, "tcp", ""}, {0, 81, "tcp", ""}};
    pod.annotations = {{"kubernetes.io/ingress-bandwidth", "10M"}, {"other", "x"}};
    pod.dns_servers = {"10.0.0.10"};
    const auto cni = MakeCni();
    Context ctx;
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->ips, std::vector<std::string>{"10.9.8.7"});

    const json first = Recorded("one.ADD");
    EXPECT_EQ(first["name"], "fakenet");
    EXPECT_EQ(first["cniVersion"], "1.0.0");
    EXPECT_FALSE(first.contains("prevResult"));
    EXPECT_FALSE(first.contains("capabilities"));
    ASSERT_EQ(first["runtimeConfig"]["portMappings"].size(), 1U);
    EXPECT_EQ(first["runtimeConfig"]["portMappings"][0]["hostPort"], 8080);
    EXPECT_EQ(first["runtimeConfig"]["bandwidth"]["ingressRate"], 10'000'000);
    EXPECT_EQ(first["runtimeConfig"]["dns"]["servers"][0], "10.0.0.10");
    EXPECT_EQ(Recorded("two.ADD")["prevResult"]["ips"][0]["address"], "10.9.8.7/24");

    const std::string env = "\n" + Read(Path("rec/one.ADD.env"));
    for (const std::string& line :
         {std::string("CNI_COMMAND=ADD"), "CNI_CONTAINERID=" + pod.sandbox_id,
          "CNI_NETNS=" + pod.netns_path, std::string("CNI_IFNAME=eth0"),
          "CNI_PATH=" + Join(config_.plugin_dirs, ":"),
          "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
          "K8S_POD_INFRA_CONTAINER_ID=" +
              pod.sandbox_id + ";K8S_POD_UID=0b6e3a3c-uid"}) {
      EXPECT_NE(env.find("\n" + line + "\n"), std::string::npos) << line << " in " << env;
    }
    EXPECT_NE(
        ExecIn(pod.netns_path, {"/usr/sbin/ip", "-o", "addr", "show", "lo"}).find("127.0.0.1"),
        std::string::npos);

    EXPECT_EQ(*cni->CachedSandboxes(), std::vector<std::string>{pod.sandbox_id});
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_EQ(Calls(), "one ADD;two ADD;two DEL;one DEL;");
    EXPECT_EQ(Recorded("one.DEL")["prevResult"]["ips"][0]["address"], "10.9.8.7/24");
    EXPECT_EQ(Recorded("one.DEL")["runtimeConfig"], first["runtimeConfig"]);
    EXPECT_TRUE(cni->CachedSandboxes()->empty());
  });
}

TEST_F(CniFakeTest, EachPluginGetsWhatItAsksFor) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    RecordingPlugin("two", kGoodResult);
    RecordingPlugin("three", kGoodResult);
    const json plugins = json::array(
        {json{{"type", "one"}, {"capabilities", {{"ips", true}, {"mac", true}, {"dns", false}}}},
         json{{"type", "two"}, {"capabilities", {{"aliases", true}, {"cgroupPath", true}}}},
         json{{"type", "three"}}});
    Configure("10-fake.conflist",
              DumpJson({{"cniVersion", "1.0.0"}, {"name", "fakenet"}, {"plugins", plugins}}));
    PodNetwork pod = MakePod();
    pod.static_ips = {"10.9.8.7/24", "fd00::7"};
    pod.mac = "02:00:00:00:00:2a";
    pod.aliases = {"web", "www.example"};
    pod.cgroup_path = "/kubepods/pod1";
    pod.dns_servers = {"10.0.0.10"};
    pod.port_mappings = {{8080, 80, "tcp", ""}};
    Context ctx;
    const auto cni = MakeCni();
    const auto result = cni->Add(ctx, pod);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->publishes_ports) << "nobody asked for them";
    const json first = {{"ips", {"10.9.8.7/24", "fd00::7"}}, {"mac", "02:00:00:00:00:2a"}};
    EXPECT_EQ(Recorded("one.ADD")["runtimeConfig"], first);
    const json second = {{"aliases", {"web", "www.example"}}, {"cgroupPath", "/kubepods/pod1"}};
    EXPECT_EQ(Recorded("two.ADD")["runtimeConfig"], second);
    EXPECT_FALSE(Recorded("three.ADD").contains("runtimeConfig"));
    pod.mac = "01:00:00:00:00:2a";
    EXPECT_TRUE(absl::IsInvalidArgument(cni->Add(ctx, pod).status())) << "a group's address";
  });
}

TEST_F(CniFakeTest, GarbageIsWhatHasNoRecord) {
  OnHost([&] {
    RecordingPlugin("one", R"(echo '{"cniVersion":"1.1.0","ips":[{"address":"10.9.8.7/24"}]}')");
    RecordingPlugin("two",
                    "[ $CNI_COMMAND = GC ] && { echo '{\"code\":11,\"msg\":\"later\"}'; exit 1; }\n"
                    "echo '{\"cniVersion\":\"1.1.0\",\"ips\":[{\"address\":\"10.9.8.7/24\"}]}'");
    ConfigureFakes({"two", "one"}, "1.1.0");
    const PodNetwork pod = MakePod();
    const auto cni = MakeCni();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    const absl::Status collected = cni->CollectGarbage(ctx);
    EXPECT_NE(Message(collected).find("later"), std::string::npos) << collected;
    EXPECT_EQ(Calls(), "two ADD;one ADD;two GC;one GC;") << "all are asked";
    const json input = Recorded("one.GC");
    EXPECT_EQ(input["cniVersion"], "1.1.0");
    const json valid = json::array({{{"containerID", pod.sandbox_id}, {"ifname", "eth0"}}});
    EXPECT_EQ(input["cni.dev/valid-attachments"], valid);
    EXPECT_EQ(input["cni.dev/attachments"], valid);
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_FALSE(cni->CollectGarbage(ctx).ok());
    EXPECT_EQ(Recorded("one.GC")["cni.dev/valid-attachments"], json::array());
    // Older networks do not know the verb, and newer ones may not want it.
    const std::string before = cni->Fingerprint();
    ConfigureFakes({"one"}, "1.0.0");
    EXPECT_NE(cni->Fingerprint(), before);
    ASSERT_TRUE(RemoveFile(Path("rec/calls")).ok());
    EXPECT_TRUE(cni->CollectGarbage(ctx).ok());
    Configure(
        "10-fake.conflist",
        R"({"cniVersion":"1.1.0","name":"fakenet","disableGC":true,"plugins":[{"type":"one"}]})");
    EXPECT_TRUE(cni->CollectGarbage(ctx).ok());
    EXPECT_EQ(Calls(), "");
  });
}

// GC waits for nobody, so that nobody waits behind it.
TEST_F(CniFakeTest, GarbageIsNotCollectedWhilePodsComeAndGo) {
  OnHost([&] {
    RecordingPlugin("slow",
                    "[ $CNI_COMMAND = ADD ] && { touch $REC/started; while [ ! -e $REC/go ]; "
                    "do sleep 0.01; done; }\n" +
                        std::string(kGoodResult));
    ConfigureFakes({"slow"}, "1.1.0");
    const auto cni = MakeCni();
    const PodNetwork pod = MakePod();
    std::thread adder([&] {
      Context ctx;
      EXPECT_TRUE(cni->Add(ctx, pod).ok());
    });
    while (!PathExists(Path("rec/started"))) {
      std::this_thread::yield();
    }
    Context ctx;
    EXPECT_TRUE(absl::IsUnavailable(cni->CollectGarbage(ctx)));
    Write(Path("rec/go"), "");
    adder.join();
    EXPECT_TRUE(cni->CollectGarbage(ctx).ok());
    EXPECT_EQ(Calls(), "slow ADD;slow GC;");
  });
}

TEST_F(CniFakeTest, StatusOfPluginsIsTheNetworks) {
  OnHost([&] {
    RecordingPlugin(
        "one",
        "[ $CNI_COMMAND = STATUS ] && { echo '{\"code\":50,\"msg\":\"agent is not up\"}'; "
        "exit 1; }");
    ConfigureFakes({"one"}, "1.1.0");
    const auto cni = MakeCni();
    const absl::Status down = cni->Ready();
    EXPECT_TRUE(absl::IsFailedPrecondition(down)) << down;
    EXPECT_NE(Message(down).find("agent is not up"), std::string::npos) << down;
    EXPECT_FALSE(cni->Ready().ok());
    EXPECT_EQ(Calls(), "one VERSION;one STATUS;") << "an answer counts for some seconds";
    RecordingPlugin("up", "exit 0");
    ConfigureFakes({"up"}, "1.1.0");
    EXPECT_TRUE(cni->Ready().ok()) << "a new configuration is asked at once";
    // What a plugin answers that is older than the verb.
    RecordingPlugin("old", "echo '{\"code\":4,\"msg\":\"unknown CNI_COMMAND: STATUS\"}'; exit 1");
    ConfigureFakes({"old"}, "1.1.0");
    EXPECT_TRUE(cni->Ready().ok());
  });
}

TEST_F(CniFakeTest, NobodyWaitsForAStatus) {
  OnHost([&] {
    RecordingPlugin("slow",
                    "[ $CNI_COMMAND = STATUS ] || exit 0; touch $REC/started; "
                    "while [ ! -e $REC/go ]; do sleep 0.01; done");
    ConfigureFakes({"slow"}, "1.1.0");
    absl::StatusOr<std::unique_ptr<Cni>> cni = absl::UnknownError("none");
    Executor background(2);
    cni = Cni::Create(config_, "test", &background);
    ASSERT_TRUE(cni.ok()) << cni.status();
    const absl::Status unknown = (*cni)->Ready();
    EXPECT_NE(Message(unknown).find("have not told their status yet"), std::string::npos)
        << unknown;
    while (!PathExists(Path("rec/started"))) {
      std::this_thread::yield();
    }
    EXPECT_FALSE((*cni)->Ready().ok());
    Write(Path("rec/go"), "");
    while (!(*cni)->Ready().ok()) {
      std::this_thread::yield();
    }
  });
}

TEST_F(CniFakeTest, PluginOlderThanItsNetwork) {
  OnHost([&] {
    FakePlugin("aged", R"(echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}')");
    ConfigureFakes({"aged"}, "1.1.0");
    const auto cni = MakeCni();
    const absl::Status status = cni->Ready();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_NE(Message(status).find("plugin aged ("), std::string::npos) << status;
    EXPECT_NE(Message(status).find("does not know CNI 1.1.0"), std::string::npos) << status;
    EXPECT_NE(Message(status).find("0.4.0, 1.0.0"), std::string::npos) << status;
    ConfigureFakes({"aged"}, "1.0.0");
    EXPECT_TRUE(cni->Ready().ok()) << cni->Ready();
  });
}

TEST_F(CniFakeTest, CheckAsksWithTheResultOfAdd) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    RecordingPlugin("two",
                    "[ $CNI_COMMAND = CHECK ] && { echo '{\"code\":100,\"msg\":\"no eth0\"}'; "
                    "exit 1; }\n" +
                        std::string(kGoodResult));
    ConfigureFakes({"one", "two"});
    const auto cni = MakeCni();
    const PodNetwork pod = MakePod();
    Context ctx;
    EXPECT_TRUE(cni->Check(ctx, pod).ok()) << "nothing was added";
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    const absl::Status status = cni->Check(ctx, pod);
    EXPECT_EQ(Message(status), "plugin two of network fakenet (CHECK): no eth0");
    EXPECT_EQ(Calls(), "one ADD;two ADD;one CHECK;two CHECK;");
    EXPECT_EQ(Recorded("one.CHECK")["prevResult"]["ips"][0]["address"], "10.9.8.7/24");
    EXPECT_NE(Read(Path("rec/one.CHECK.env")).find("CNI_NETNS=" + pod.netns_path + "\n"),
              std::string::npos);
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    Configure(
        "10-fake.conflist",
        R"({"cniVersion":"1.0.0","name":"n","disableCheck":true,"plugins":[{"type":"two"}]})");
    const PodNetwork other = MakePod();
    ASSERT_TRUE(cni->Add(ctx, other).ok());
    EXPECT_TRUE(cni->Check(ctx, other).ok());
  });
}

TEST_F(CniFakeTest, DelIsIdempotent) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    ConfigureFakes({"one"});
    const PodNetwork pod = MakePod();
    const auto cni = MakeCni();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    ASSERT_TRUE(UnpinNamespace(pod.netns_path).ok());
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
    // A record may have been lost: the current network is asked all the same.
    EXPECT_EQ(Calls(), "one ADD;one DEL;one DEL;");
    EXPECT_NE(Read(Path("rec/one.DEL.env")).find("CNI_NETNS=\n"), std::string::npos);
    // With nothing to ask it is done.
    ASSERT_TRUE(RemoveFile(Path("bin/one")).ok());
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
    Configure("10-fake.conflist", "{");
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
  });
}

TEST_F(CniFakeTest, DelNamesNoNamespaceThatIsGone) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    ConfigureFakes({"one"});
    const auto cni = MakeCni();
    const PodNetwork pod = MakePod();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    ASSERT_TRUE(UnpinNamespace(pod.netns_path).ok());
    Write(pod.netns_path, "");  // as a reboot leaves it
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_EQ(Calls(), "one ADD;one DEL;");
    EXPECT_NE(Read(Path("rec/one.DEL.env")).find("CNI_NETNS=\n"), std::string::npos);
  });
}

TEST_F(CniFakeTest, DelUsesTheConfigurationOfAdd) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    RecordingPlugin("other", kGoodResult);
    ConfigureFakes({"one"});
    const PodNetwork pod = MakePod();
    Context ctx;
    ASSERT_TRUE(MakeCni()->Add(ctx, pod).ok());
    ConfigureFakes({"other"});
    // Another daemon object: nothing is remembered but what is on disk; the caller knows only the
    // ID.
    PodNetwork known;
    known.sandbox_id = pod.sandbox_id;
    ASSERT_TRUE(MakeCni()->Del(ctx, known).ok());
    EXPECT_EQ(Calls(), "one ADD;one DEL;");
    EXPECT_NE(Read(Path("rec/one.DEL.env")).find("CNI_NETNS=" + pod.netns_path + "\n"),
              std::string::npos);
    EXPECT_NE(Read(Path("rec/one.DEL.env")).find("K8S_POD_NAME=web;"), std::string::npos);
  });
}

TEST_F(CniFakeTest, FailedDelKeepsTheRecordAndAsksTheOthers) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    RecordingPlugin("two", "[ $CNI_COMMAND = DEL ] && [ ! -e $REC/heal ] && exit 3\n" +
                               std::string(kGoodResult));
    ConfigureFakes({"one", "two"});
    const PodNetwork pod = MakePod();
    const auto cni = MakeCni();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    const absl::Status status = cni->Del(ctx, pod);
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_NE(Message(status).find("plugin two of network fakenet (DEL)"), std::string::npos);
    EXPECT_EQ(Calls(), "one ADD;two ADD;two DEL;one DEL;");
    EXPECT_EQ(CacheFiles().size(), 1U);
    Write(Path("rec/heal"), "");
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_TRUE(CacheFiles().empty());
  });
}

TEST_F(CniFakeTest, DamagedRecordFallsBackToTheNetworkOfThatName) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    ConfigureFakes({"one"});
    const PodNetwork pod = MakePod();
    const auto cni = MakeCni();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    ASSERT_EQ(CacheFiles().size(), 1U);
    Write(Path("cache/results/") + CacheFiles()[0], "");
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_EQ(Calls(), "one ADD;one DEL;");
    EXPECT_TRUE(CacheFiles().empty());
  });
}

TEST_F(CniFakeTest, AddAfterACrashedAddStartsAfresh) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    ConfigureFakes({"one"});
    const PodNetwork pod = MakePod();
    Context ctx;
    ASSERT_TRUE(MakeCni()->Add(ctx, pod).ok());
    ASSERT_TRUE(MakeCni()->Add(ctx, pod).ok());
    EXPECT_EQ(Calls(), "one ADD;one DEL;one ADD;");
  });
}

TEST_F(CniFakeTest, FailureOfTheSecondUndoesTheWholeChain) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    RecordingPlugin(
        "two", R"([ $CNI_COMMAND = ADD ] && { echo '{"code":7,"msg":"no way"}'; exit 1; }; true)");
    ConfigureFakes({"one", "two"});
    Context ctx;
    const absl::Status status = MakeCni()->Add(ctx, MakePod()).status();
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_EQ(Message(status), "plugin two of network fakenet (ADD): no way");
    EXPECT_EQ(Calls(), "one ADD;two ADD;two DEL;one DEL;");
    EXPECT_FALSE(Recorded("one.DEL").contains("prevResult"));
    EXPECT_TRUE(CacheFiles().empty());
  });
}

TEST_F(CniFakeTest, MissingBinary) {
  OnHost([&] {
    ConfigureFakes({"no-such-plugin"});
    const auto cni = MakeCni();
    const absl::Status ready = cni->Ready();
    EXPECT_TRUE(absl::IsFailedPrecondition(ready)) << ready;
    EXPECT_NE(Message(ready).find("no-such-plugin"), std::string::npos);
    EXPECT_NE(Message(ready).find("10-fake.conflist"), std::string::npos);
    Context ctx;
    EXPECT_TRUE(absl::IsFailedPrecondition(cni->Add(ctx, MakePod()).status()));
    EXPECT_TRUE(CacheFiles().empty());
    FakePlugin("no-such-plugin", kGoodResult);
    EXPECT_TRUE(cni->Ready().ok());
    EXPECT_NE(cni->DescribeJson().find("no-such-plugin"), std::string::npos);
  });
}

TEST_F(CniFakeTest, ReadyTellsWhatIsWrong) {
  config_.default_bridge = false;
  const auto cni = MakeCni();
  EXPECT_TRUE(absl::IsFailedPrecondition(cni->Ready()));
  EXPECT_NE(cni->DescribeJson().find("\"ready\":false"), std::string::npos);
  Context ctx;
  PodNetwork pod;
  pod.sandbox_id = "a1";
  EXPECT_TRUE(absl::IsUnavailable(cni->Add(ctx, pod).status()));
  Configure("10-x.conflist", "{\"name\": oops");
  EXPECT_TRUE(absl::IsFailedPrecondition(cni->Ready()));
  EXPECT_NE(Message(cni->Ready()).find("10-x.conflist"), std::string::npos);
}

TEST_F(CniFakeTest, FailsWithJsonError) {
  OnHost([&] {
    const absl::Status status =
        AddFails(R"(echo '{"code":11,"msg":"pool is empty","details":"10.0.0.0/30"}'; exit 1)");
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_EQ(Message(status), "plugin bad of network fakenet (ADD): pool is empty; 10.0.0.0/30");
  });
}

TEST_F(CniFakeTest, FailsWithGarbage) {
  OnHost([&] {
    const absl::Status status = AddFails("printf 'boom\\001\\033[31m' >&2; exit 1");
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_NE(Message(status).find("boom"), std::string::npos);
    EXPECT_EQ(Message(status).find('\x1b'), std::string::npos);
  });
}

TEST_F(CniFakeTest, KilledBySignal) {
  OnHost([&] {
    const absl::Status status = AddFails("kill -SEGV $$");
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_NE(Message(status).find("signal 11"), std::string::npos) << status;
  });
}

TEST_F(CniFakeTest, PrintsGarbage) {
  OnHost([&] {
    const absl::Status status = AddFails("printf 'all is well\\002'");
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_NE(Message(status).find("all is well"), std::string::npos);
  });
}

TEST_F(CniFakeTest, PrintsNothing) {
  OnHost([&] { EXPECT_TRUE(absl::IsInternal(AddFails("true"))); });
}

TEST_F(CniFakeTest, PrintsHundredMegabytes) {
  OnHost([&] {
    const absl::Status status = AddFails("head -c 100000000 /dev/zero");
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_NE(Message(status).find("more than"), std::string::npos) << status;
  });
}

TEST_F(CniFakeTest, PrintsInvalidAddress) {
  OnHost([&] {
    const absl::Status status =
        AddFails(R"(echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.999/24"}]}')");
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_NE(Message(status).find("10.0.0.999/24"), std::string::npos) << status;
  });
}

TEST_F(CniFakeTest, GivesNoAddress) {
  OnHost([&] {
    FakePlugin("bad", R"(echo '{"cniVersion":"1.0.0"}')");
    ConfigureFakes({"bad"});
    Context ctx;
    const absl::Status status = MakeCni()->Add(ctx, MakePod()).status();
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_NE(Message(status).find("no IP address"), std::string::npos) << status;
    EXPECT_TRUE(CacheFiles().empty());
  });
}

// True when the process is gone (or a zombie waiting for init) before the deadline.
bool Ended(pid_t pid) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
    if (!stat.ok() || stat->find(") Z ") != std::string::npos) {
      return true;
    }
    std::this_thread::yield();
  }
  return false;
}

TEST_F(CniFakeTest, HangingPluginIsKilledWithItsChildren) {
  OnHost([&] {
    const absl::Status status =
        AddFails("sleep 1000 & echo $! > $REC/child; echo $$ > $REC/self; wait", milliseconds(300));
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_NE(Message(status).find("plugin bad of network fakenet (ADD)"), std::string::npos);
    for (const char* file : {"rec/self", "rec/child"}) {
      const auto pid = ParseInt(Trim(Read(Path(file))));
      ASSERT_TRUE(pid.has_value());
      EXPECT_TRUE(Ended(static_cast<pid_t>(*pid))) << file;
    }
  });
}

TEST_F(CniFakeTest, HangingDelKeepsTheRecord) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    RecordingPlugin("two", "[ $CNI_COMMAND = DEL ] && [ ! -e $REC/heal ] && exec sleep 1000\n" +
                               std::string(kGoodResult));
    ConfigureFakes({"one", "two"});
    config_.del_timeout = milliseconds(2000);  // enough for a busy machine to start it
    const auto cni = MakeCni();
    const PodNetwork pod = MakePod();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    const absl::Status status = cni->Del(ctx, pod);
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_NE(Message(status).find("plugin two of network fakenet (DEL)"), std::string::npos);
    EXPECT_EQ(*cni->CachedSandboxes(), std::vector<std::string>{pod.sandbox_id});
    Write(Path("rec/heal"), "");
    config_.del_timeout = std::chrono::seconds(20);
    EXPECT_TRUE(MakeCni()->Del(ctx, pod).ok());
    EXPECT_EQ(Calls(), "one ADD;two ADD;two DEL;two DEL;one DEL;");
  });
}

// A pod without host ports needs no portmap; with them it does, both ways.
TEST_F(CniFakeTest, PortmapRunsForPortsOnly) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    RecordingPlugin("portmap", kGoodResult);
    ConfigureFakes({"one", "portmap"});
    const auto cni = MakeCni();
    const PodNetwork without = MakePod();
    PodNetwork with = MakePod();
    with.port_mappings = {{8080, 80, "tcp", ""}};
    Context ctx;
    for (const PodNetwork& pod : {without, with}) {
      ASSERT_TRUE(cni->Add(ctx, pod).ok());
      PodNetwork known;  // the ports are on record
      known.sandbox_id = pod.sandbox_id;
      ASSERT_TRUE(cni->Del(ctx, known).ok());
    }
    EXPECT_EQ(Calls(), "one ADD;one DEL;one ADD;portmap ADD;portmap DEL;one DEL;");
    // Without a record nothing is known about ports.
    ASSERT_TRUE(cni->Del(ctx, without).ok());
    EXPECT_TRUE(Calls().ends_with("portmap DEL;one DEL;portmap DEL;one DEL;")) << Calls();
  });
}

TEST_F(CniFakeTest, RequestDeadlineAndCancelEndAdd) {
  OnHost([&] {
    FakePlugin("bad", "[ $CNI_COMMAND = DEL ] && exit 0; touch $REC/started; exec sleep 1000");
    ConfigureFakes({"bad"});
    Context brief{milliseconds(200)};
    EXPECT_TRUE(absl::IsDeadlineExceeded(MakeCni()->Add(brief, MakePod()).status()));
    ASSERT_TRUE(RemoveFile(Path("rec/started")).ok());
    Context cancelled;
    std::thread canceller([&] {
      while (!PathExists(Path("rec/started"))) {
        std::this_thread::yield();
      }
      cancelled.Cancel();
    });
    EXPECT_TRUE(absl::IsCancelled(MakeCni()->Add(cancelled, MakePod()).status()));
    canceller.join();
    EXPECT_TRUE(CacheFiles().empty());
  });
}

TEST_F(CniFakeTest, FailedUndoKeepsTheRecord) {
  OnHost([&] {
    FakePlugin("bad", "[ -e $REC/heal ] || exit 1");
    ConfigureFakes({"bad"});
    const auto cni = MakeCni();
    const PodNetwork pod = MakePod();
    Context ctx;
    EXPECT_FALSE(cni->Add(ctx, pod).ok());
    EXPECT_EQ(*cni->CachedSandboxes(), std::vector<std::string>{pod.sandbox_id});
    Write(Path("rec/heal"), "");
    EXPECT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_TRUE(cni->CachedSandboxes()->empty());
  });
}

TEST_F(CniFakeTest, RefusesBadPods) {
  OnHost([&] {
    RecordingPlugin("one", kGoodResult);
    ConfigureFakes({"one"});
    const auto cni = MakeCni();
    Context ctx;
    PodNetwork pod = MakePod();
    pod.sandbox_id = "../../x";
    EXPECT_TRUE(absl::IsInvalidArgument(cni->Add(ctx, pod).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(cni->Del(ctx, pod)));
    pod = MakePod();
    pod.name_space = "a;b=c";
    EXPECT_TRUE(absl::IsInvalidArgument(cni->Add(ctx, pod).status()));
    pod = MakePod();
    pod.netns_path = Path("ns/gone");
    EXPECT_FALSE(cni->Add(ctx, pod).ok());
    EXPECT_EQ(Calls(), "");
    EXPECT_TRUE(CacheFiles().empty());
  });
}

TEST_F(CniFakeTest, OldVersionsGetNoResultAtDel) {
  OnHost([&] {
    RecordingPlugin(
        "one", R"(echo '{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.9.8.7/24"}]}')");
    ConfigureFakes({"one"}, "0.3.1");
    const PodNetwork pod = MakePod();
    const auto cni = MakeCni();
    Context ctx;
    ASSERT_TRUE(cni->Add(ctx, pod).ok());
    ASSERT_TRUE(cni->Del(ctx, pod).ok());
    EXPECT_FALSE(Recorded("one.DEL").contains("prevResult"));
  });
}

TEST_F(CniFakeTest, CreateRefusesImpossibleBridge) {
  config_.default_bridge_name = "a-name-longer-than-a-link";
  EXPECT_TRUE(absl::IsInvalidArgument(Cni::Create(config_).status()));
  config_.default_bridge_name = "br0";
  config_.default_bridge_subnet = "10.0.0.0";
  EXPECT_TRUE(absl::IsInvalidArgument(Cni::Create(config_).status()));
}

}  // namespace
}  // namespace davit::network
