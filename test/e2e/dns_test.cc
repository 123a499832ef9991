// SPDX-License-Identifier: Apache-2.0
//
// Names: what a pod asks, of whom, and what comes of the answer. The name server is on the bridge's
// end of the node.
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "test/e2e/command.h"
#include "test/e2e/dns_server.h"
#include "test/e2e/fixture.h"
#include "test/images/fixture_images.h"

namespace davit::e2e {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

constexpr char kServer[] = "10.77.0.1";
constexpr char kServer6[] = "fd00:77::1";

class DnsTest : public E2eTest {
 protected:
  void TearDown() override {
    E2eTest::TearDown();
    (void)RunCommand({"ip", "link", "delete", "e2e0"});
  }
  // A bridge of both families; `more` is merged into its configuration.
  void UseBridge(const json& more = json::object()) {
    json bridge = {{"type", "bridge"}, {"bridge", "e2e0"}, {"isGateway", true}};
    bridge["ipam"] = {{"type", "host-local"},
                      {"dataDir", daemon().leases()},
                      {"ranges", json::array({json::array({json{{"subnet", "10.77.0.0/24"}}}),
                                              json::array({json{{"subnet", "fd00:77::/64"}}})})}};
    bridge.update(more);
    const json list = {
        {"cniVersion", "1.0.0"}, {"name", "bridge"}, {"plugins", json::array({bridge})}};
    Must(WriteFileAtomic(daemon().net_d() + "/10-bridge.conflist", DumpJson(list), 0644));
  }
  v1::PodSandboxConfig PodThatAsks(const std::string& name, const std::string& server,
                                   const Names& searches, const Names& options = {}) {
    auto config = PodConfig(name);
    auto& dns = *config.mutable_dns_config();
    dns.add_servers(server);
    dns.mutable_searches()->Assign(searches.begin(), searches.end());
    dns.mutable_options()->Assign(options.begin(), options.end());
    return config;
  }
  std::string Sleeper(const Pod& pod) {
    return Run(pod, ShellContainer("sleeper", "exec sleep 1000"));
  }
  // One with the node's C library, whose resolver heeds all of resolv.conf: nslookup asks by
  // itself, and the resolver of a static busybox needs libraries.
  std::string Resolver(const Pod& pod) {
    auto config = ShellContainer("resolver", "exec sleep 1000");
    for (const char* path : {"/lib", "/lib64", "/usr/bin/bash", "/usr/bin/getent"}) {
      if (!PathExists(path)) {  // not every architecture has a /lib64
        continue;
      }
      auto& mount = *config.add_mounts();
      mount.set_host_path(path);
      mount.set_container_path(path);
      mount.set_readonly(true);
    }
    return Run(pod, config);
  }
  // The address that the resolver of that container has for a name.
  std::string AddressOf(const std::string& id, const std::string& name) {
    const std::string lines = ShellIn(id, "getent ahostsv4 " + name + " 2>&1 || true");
    return lines.substr(0, lines.find(' '));
  }
  // What the container prints for a name, errors too.
  std::string Lookup(const std::string& id, const std::string& name) {
    return ShellIn(id, "nslookup " + name + " 2>&1 || true");
  }
};

void ExpectHas(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no " << part << " in: " << text;
}

TEST_F(DnsTest, NamesAreAskedOfThePodsServer) {
  UseBridge();
  Pull("busybox");
  DnsServer server(kServer, {{"harbour.quay.example", "192.0.2.77"}});
  const std::string id =
      Sleeper(RunPod(PodThatAsks("asks", kServer, {"sea.example", "quay.example"})));
  std::string answer = Lookup(id, "harbour.quay.example");
  ExpectHas(answer, "192.0.2.77");
  ExpectHas(answer, kServer);
  EXPECT_EQ(server.TakeQuestions(), Names{"harbour.quay.example"});

  answer = Lookup(id, "nowhere.quay.example");
  ExpectHas(answer, "NXDOMAIN");
  (void)server.TakeQuestions();

  answer = Lookup(id, "harbour");  // by the second of the search domains
  ExpectHas(answer, "harbour.quay.example");
  ExpectHas(answer, "192.0.2.77");
}

// As pods find a service: a short name, its address, a page.
TEST_F(DnsTest, AShortNameLeadsToAnotherPod) {
  UseBridge();
  Pull("busybox");
  Pull("web");
  const Pod web = RunPod("web");
  Run(web, Container("web", {}, "web"));
  DnsServer server(kServer, {{"web.quay.example", PodStatus(web.id).network().ip()}});
  const std::string id = Resolver(RunPod(PodThatAsks("asks", kServer, {"quay.example"})));
  EXPECT_EQ(AddressOf(id, "web"), PodStatus(web.id).network().ip());
  const std::string get =
      "exec 3<>/dev/tcp/web/8080 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
  std::string page;
  EXPECT_TRUE(Eventually([&] {
    const auto got = Exec(id, {"bash", "-c", get});
    page = got.stdout() + got.stderr();
    return page.ends_with(test::kWebPage);
  })) << page;
}

// ndots says how many dots make a name that is asked as it is first.
TEST_F(DnsTest, OptionsAreInForce) {
  UseBridge();
  Pull("busybox");
  DnsServer server(kServer, {{"pier.harbour", "192.0.2.77"}});
  const auto ask = [&](const std::string& pod, const std::string& ndots) {
    const std::string id =
        Resolver(RunPod(PodThatAsks(pod, kServer, {"quay.example"}, {"ndots:" + ndots})));
    EXPECT_EQ(AddressOf(id, "pier.harbour"), "192.0.2.77");
    return server.TakeQuestions();
  };
  EXPECT_EQ(ask("many", "2"), (Names{"pier.harbour.quay.example", "pier.harbour"}));
  EXPECT_EQ(ask("few", "1"), Names{"pier.harbour"});
}

TEST_F(DnsTest, AServerOfTheOtherFamily) {
  UseBridge();
  Pull("busybox");
  DnsServer server(kServer6, {{"harbour.quay.example", "192.0.2.77"}});
  const std::string id = Sleeper(RunPod(PodThatAsks("asks", kServer6, {"quay.example"})));
  ExpectHas(Lookup(id, "harbour"), "192.0.2.77");
}

// A pod that names no server gets those of its network; what a pod says comes before that.
TEST_F(DnsTest, ServersOfTheNetwork) {
  UseBridge({{"dns", {{"nameservers", {kServer}}, {"search", {"quay.example"}}}}});
  Pull("busybox");
  DnsServer server(kServer,
                   {{"harbour.quay.example", "192.0.2.77"}, {"harbour.sea.example", "192.0.2.78"}});
  const Pod plain = RunPod("plain");
  const std::string id = Sleeper(plain);
  EXPECT_EQ(ShellIn(id, "cat /etc/resolv.conf"), "search quay.example\nnameserver 10.77.0.1\n");
  ExpectHas(Lookup(id, "harbour"), "192.0.2.77");
  const std::string other = Sleeper(RunPod(PodThatAsks("own", kServer, {"sea.example"})));
  ExpectHas(Lookup(other, "harbour"), "192.0.2.78");
}

// What a plugin says is no line of resolv.conf by itself.
TEST_F(DnsTest, ServersOfTheNetworkAreChecked) {
  UseBridge({{"dns", {{"nameservers", {"10.77.0.1\nnameserver 6.6.6.6"}}}}});
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = PodConfig("plain");
  ExpectError(client().RunPodSandbox(request).status(), absl::StatusCode::kInternal,
              "dns.nameservers");
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Leaks(), "");
}

// Plugins that declare the capabilities are told what the pod wants of names and bandwidth.
TEST_F(DnsTest, PluginsAreTold) {
  Must(WriteFileAtomic(daemon().cni_bin() + "/noted",
                       "#!/bin/sh\ntee " + daemon().dir() +
                           "/told.$CNI_COMMAND | sed 's/\"noted\"/\"bridge\"/' | "
                           "exec /usr/lib/cni/bridge\n",
                       0755));
  UseBridge({{"type", "noted"}, {"capabilities", {{"dns", true}, {"bandwidth", true}}}});
  auto config = PodThatAsks("asks", kServer, {"quay.example"}, {"ndots:2"});
  (*config.mutable_annotations())["kubernetes.io/ingress-bandwidth"] = "10M";
  RunPod(config);
  const json told =
      Must(ParseJson(Must(ReadFile(daemon().dir() + "/told.ADD")), "what the plugin was told"));
  const json& args = JsonChild(told, "runtimeConfig");
  EXPECT_EQ(
      JsonChild(args, "dns"),
      (json{{"servers", {kServer}}, {"searches", {"quay.example"}}, {"options", {"ndots:2"}}}));
  EXPECT_EQ(JsonInt(JsonChild(args, "bandwidth"), "ingressRate"), 10'000'000);
}

}  // namespace
}  // namespace davit::e2e
