// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/registry.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "test/e2e/command.h"
#include "test/e2e/isolation.h"
#include "test/e2e/wait.h"
#include "test/images/fixture_images.h"

namespace davit::e2e {
namespace {

using nlohmann::json;

constexpr int kSharedPort = 5000;

bool Listens(int port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

std::string ConfigText(const std::string& dir, const TestRegistry::Options& options) {
  const std::string tls = options.tls ? fmt::format(
                                            ", tls: {{certificate: {0}/cert.pem, key: "
                                            "{0}/key.pem}}",
                                            dir)
                                      : "";
  std::string text = fmt::format(
      "version: 0.1\n"
      "log: {{level: error, accesslog: {{disabled: {}}}}}\n"
      "storage:\n"
      "  filesystem: {{rootdirectory: {}/data}}\n"
      "  delete: {{enabled: true}}\n"
      "  maintenance: {{uploadpurging: {{enabled: false}}}}\n"
      "http: {{addr: \"127.0.0.1:{}\"{}}}\n",
      !options.tls, dir, options.port, tls);
  if (!options.user.empty()) {
    text += fmt::format("auth: {{htpasswd: {{realm: tests, path: {}/htpasswd}}}}\n", dir);
  }
  return text;
}

void MakeCertificate(const std::string& dir) {
  MustRun({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
           "-nodes", "-days", "2", "-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1",
           "-keyout", dir + "/key.pem", "-out", dir + "/cert.pem"});
}

std::unique_ptr<TestRegistry>& SharedSlot() {
  static std::unique_ptr<TestRegistry>& slot = *new std::unique_ptr<TestRegistry>();
  return slot;
}

class RegistryEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    SharedSlot() = std::make_unique<TestRegistry>(TestRegistry::Options{
        .port = kSharedPort, .user = {}, .password_hash = {}, .password = {}, .tls = false});
  }
  void TearDown() override { SharedSlot().reset(); }
};

}  // namespace

TestRegistry& TestRegistry::Shared() {
  return *SharedSlot();
}

void TestRegistry::AddToTests() {
  testing::AddGlobalTestEnvironment(new RegistryEnvironment());
}

TestRegistry::TestRegistry(Options options)
    : options_(std::move(options)),
      dir_(fmt::format("{}/registry-{}", ProgramDir(), options_.port)) {
  Must(MakeDirs(dir_));
  if (!options_.user.empty()) {
    Must(WriteFileAtomic(dir_ + "/htpasswd", options_.user + ":" + options_.password_hash + "\n"));
  }
  if (options_.tls) {
    MakeCertificate(dir_);
  }
  Must(WriteFileAtomic(dir_ + "/config.yml", ConfigText(dir_, options_)));
  Start();
}

TestRegistry::~TestRegistry() {
  Stop();
}

void TestRegistry::Start() {
  const UniqueFd log = Must(Open(dir_ + "/log", O_WRONLY | O_CREAT | O_APPEND));
  SpawnOptions spawn;
  spawn.argv = {Must(FindProgram("docker-registry")), "serve", dir_ + "/config.yml"};
  spawn.env = MinimalEnv();
  spawn.env.emplace_back("OTEL_TRACES_EXPORTER=none");
  spawn.fds = {{.parent_fd = log.get(), .child_fd = 1}, {.parent_fd = log.get(), .child_fd = 2}};
  process_ = Must(Spawn(spawn));
  if (!Eventually([this] { return Listens(options_.port); })) {
    throw std::runtime_error("docker-registry does not listen: " +
                             ReadFile(dir_ + "/log").value_or(""));
  }
}

void TestRegistry::Stop() {
  if (process_.pid() > 0) {
    (void)process_.Kill(SIGKILL);
    Context ctx(20s);
    (void)process_.Wait(ctx);
    process_ = Process();
  }
}

std::string TestRegistry::host() const {
  return fmt::format("127.0.0.1:{}", options_.port);
}

std::string TestRegistry::certificate() const {
  return dir_ + "/cert.pem";
}

std::string TestRegistry::Log() const {
  return ReadFile(dir_ + "/log").value_or("");
}

std::string TestRegistry::Layout(const std::string& name) const {
  return ProgramDir() + "/layouts/" + name;
}

std::string TestRegistry::Image(const std::string& name) {
  return ImageAs(name, name, "latest");
}

std::string TestRegistry::ImageAs(const std::string& name, const std::string& repository,
                                  const std::string& tag) {
  const std::string target = host() + "/" + repository + ":" + tag;
  if (!PathExists(fmt::format("{}/data/docker/registry/v2/repositories/{}/_manifests/tags/{}", dir_,
                              repository, tag))) {
    Push(name, target);
  }
  return target;
}

void TestRegistry::Push(const std::string& name, const std::string& target) const {
  if (!PathExists(Layout(name) + "/index.json")) {
    Must(test::WriteLayout(Layout(name), "latest", Must(test::MakeFixtureImage(name))));
  }
  Copy(Layout(name), target);
}

std::string TestRegistry::Artifact(const std::string& name, const test::ArtifactSpec& artifact) {
  const std::string layout = Layout("artifact-" + name);
  Must(RemoveTree(layout));
  Must(test::WriteArtifactLayout(layout, "latest", artifact));
  std::string target = host() + "/" + name + ":latest";
  Copy(layout, target);
  return target;
}

void TestRegistry::Copy(const std::string& layout, const std::string& target) const {
  std::vector<std::string> argv = {"skopeo", "--insecure-policy", "copy",
                                   "--all",  "--quiet",           "--dest-tls-verify=false"};
  if (!options_.user.empty()) {
    argv.push_back("--dest-creds=" + options_.user + ":" + options_.password);
  }
  argv.push_back("oci:" + layout + ":latest");
  argv.push_back("docker://" + target);
  MustRun(argv);
}

Digest TestRegistry::DigestOf(const std::string& image) const {
  const std::string raw =
      MustRun({"skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + image});
  return Digest::Sha256Of(raw);
}

std::string TestRegistry::BlobFile(const Digest& digest) const {
  return fmt::format("{}/data/docker/registry/v2/blobs/sha256/{}/{}/data", dir_,
                     digest.hex().substr(0, 2), digest.hex());
}

Digest TestRegistry::TopLayer(const std::string& name) const {
  const auto blob = [&](const json& descriptor) {
    const Digest digest = Must(Digest::Parse(descriptor["digest"].get<std::string>()));
    return json::parse(Must(ReadFile(Layout(name) + "/blobs/sha256/" + digest.hex())));
  };
  const json index = json::parse(Must(ReadFile(Layout(name) + "/index.json")));
  const json manifest = blob(index["manifests"][0]);
  return Must(Digest::Parse(manifest["layers"].back()["digest"].get<std::string>()));
}

}  // namespace davit::e2e
