// SPDX-License-Identifier: Apache-2.0
//
// TLS as certs.d, hosts.toml and `insecure` set it, against a real server: docker-registry with
// certificates of its own authority.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/test_util.h"
#include "base/text.h"
#include "image/pull_fixture.h"

namespace davit::image {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

uint16_t FreePort() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(fd.get(), generic, size), 0);
  EXPECT_EQ(getsockname(fd.get(), generic, &size), 0);
  return ntohs(address.sin_port);
}

bool Answers(uint16_t port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

class PullTlsTest : public PullFixture {
 protected:
  PullTlsTest() : tls_(dir_.path() + "/tls/") { std::filesystem::create_directory(tls_); }
  ~PullTlsTest() override {
    if (registry_process_.pid() > 0) {
      EXPECT_OK(registry_process_.Kill(SIGKILL));
      EXPECT_OK(registry_process_.Wait(ctx_));
    }
  }
  PullTlsTest(const PullTlsTest&) = delete;
  PullTlsTest& operator=(const PullTlsTest&) = delete;

  void SetUp() override {
    for (const char* program : {"openssl", "docker-registry"}) {
      if (!FindProgram(program).ok()) {
        GTEST_SKIP() << program << " is not installed";
      }
    }
    Authority("server");
    Authority("client");
    Certificate("server", "server", "subjectAltName=IP:127.0.0.1");
    Certificate("client", "client", "extendedKeyUsage=clientAuth");
    Populate("app", "1", image_);
  }

  void OpenSsl(const std::string& arguments) {
    SpawnOptions options;
    options.argv = {*FindProgram("openssl")};
    for (const std::string& word : Words(arguments)) {
      options.argv.push_back(word);
    }
    options.env = MinimalEnv();
    options.cwd = tls_;
    const auto result = davit::Run(ctx_, options);
    ASSERT_OK(result);
    ASSERT_EQ(result->exit.code, 0) << arguments << "\n" << result->err;
  }
  void Authority(const std::string& name) {
    OpenSsl(
        fmt::format("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
                    "-subj /CN={0}-ca -keyout {0}-ca.key -out {0}-ca.crt",
                    name));
  }
  void Certificate(const std::string& name, const std::string& authority,
                   const std::string& extension) {
    std::ofstream(tls_ + "extension") << extension << "\n";
    OpenSsl(
        fmt::format("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={0} "
                    "-keyout {0}.key -out {0}.csr",
                    name));
    OpenSsl(
        fmt::format("x509 -req -in {0}.csr -CA {1}-ca.crt -CAkey {1}-ca.key -CAcreateserial "
                    "-days 2 -extfile extension -out {0}.crt",
                    name, authority));
  }

  // An image as docker-registry keeps it on disk.
  void Populate(const std::string& repository, const std::string& tag, const FakeImage& image) {
    const std::string root = dir_.path() + "/registry/docker/registry/v2/";
    const std::string manifests = root + "repositories/" + repository + "/_manifests/";
    const std::string manifest = image.digest().text();
    const auto put = [](const std::string& file, const std::string& bytes) {
      std::filesystem::create_directories(std::filesystem::path(file).parent_path());
      std::ofstream(file, std::ios::binary) << bytes;
    };
    const auto blob = [&](const std::string& bytes) {
      const Digest digest = Digest::Sha256Of(bytes);
      put(root + "blobs/sha256/" + digest.hex().substr(0, 2) + "/" + digest.hex() + "/data", bytes);
      put(root + "repositories/" + repository + "/_layers/sha256/" + digest.hex() + "/link",
          digest.text());
    };
    blob(image.manifest);
    blob(image.config);
    for (const FakeImage::Blob& layer : image.layers) {
      blob(layer.bytes);
    }
    put(manifests + "revisions/sha256/" + image.digest().hex() + "/link", manifest);
    put(manifests + "tags/" + tag + "/current/link", manifest);
    put(manifests + "tags/" + tag + "/index/sha256/" + image.digest().hex() + "/link", manifest);
  }

  void StartRegistry(const std::string& more = "") {
    port_ = FreePort();
    host_ = fmt::format("127.0.0.1:{}", port_);
    const std::string file = dir_.path() + "/registry.yml";
    std::ofstream(file) << fmt::format(R"(version: 0.1
log: {{level: info, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: {}}}}}
http:
  addr: {}
  tls:
    certificate: {}server.crt
    key: {}server.key
{})",
                                       dir_.path() + "/registry", host_, tls_, tls_, more);
    auto log = Open(dir_.path() + "/registry.log", O_WRONLY | O_CREAT | O_APPEND);
    ASSERT_OK(log);
    SpawnOptions options;
    options.argv = {*FindProgram("docker-registry"), "serve", file};
    options.env = MinimalEnv();
    options.fds = {{.parent_fd = log->get(), .child_fd = 1},
                   {.parent_fd = log->get(), .child_fd = 2}};
    auto process = Spawn(options);
    ASSERT_OK(process);
    registry_process_ = *std::move(process);
    ASSERT_TRUE(test::Eventually([this] { return Answers(port_); })) << Log();
  }
  [[nodiscard]] std::string Log() const {
    return ReadFile(dir_.path() + "/registry.log").value_or("");
  }

  void Give(const std::string& file, const std::string& name) {
    const std::string directory = config_.certs_dirs[0] + "/" + host_;
    std::filesystem::create_directories(directory);
    std::filesystem::copy_file(tls_ + file, directory + "/" + name);
  }
  void Hosts(const std::string& text) {
    const std::string directory = config_.hosts_dirs[0] + "/" + host_;
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/hosts.toml") << text;
  }
  [[nodiscard]] std::string ClientAuthorities() const {
    return "    clientcas: [" + tls_ + "client-ca.crt]\n";
  }

  Context ctx_;
  const std::string tls_;
  FakeImage image_ = MakeImage({Tar({{"a", "1"}})});
  uint16_t port_ = 0;
  std::string host_;
  Process registry_process_;
};

TEST_F(PullTlsTest, AuthorityOfCertsDirAndHttp2) {
  StartRegistry();
  Give("server-ca.crt", "ca.crt");
  const auto result = Pull(host_ + "/app:1");
  ASSERT_TRUE(result.ok()) << result.status() << Log();
  EXPECT_EQ(result->image_id, image_.id());
  EXPECT_TRUE(test::Eventually([this] { return Log().find("HTTP/2.0") != std::string::npos; }))
      << Log();
}

TEST_F(PullTlsTest, UnknownAuthorityIsRefusedUnlessInsecure) {
  StartRegistry();
  Hosts(fmt::format("server = 'https://{}'\n", host_));
  ExpectFailure(Pull(host_ + "/app:1"), absl::StatusCode::kFailedPrecondition,
                {"certificate", "certs.d"});
  Hosts(fmt::format("server = 'https://{}'\nskip_verify = true\n", host_));
  const auto skipped = Pull(host_ + "/app:1");
  ASSERT_TRUE(skipped.ok()) << skipped.status();
  ASSERT_TRUE(storage_->RemoveImage(image_.id()).ok());
  std::filesystem::remove_all(config_.hosts_dirs[0]);
  config_.insecure_registries = {host_};
  MakePuller();
  const auto insecure = Pull(host_ + "/app:1");
  EXPECT_TRUE(insecure.ok()) << insecure.status();
}

TEST_F(PullTlsTest, ClientCertificateOfCertsDir) {
  StartRegistry(ClientAuthorities());
  Give("server-ca.crt", "ca.crt");
  ExpectFailure(Pull(host_ + "/app:1"), absl::StatusCode::kUnavailable, {host_});
  Give("client.crt", "client.cert");
  Give("client.key", "client.key");
  const auto result = Pull(host_ + "/app:1");
  EXPECT_TRUE(result.ok()) << result.status() << Log();
}

TEST_F(PullTlsTest, ClientCertificateOfHostsToml) {
  StartRegistry(ClientAuthorities());
  Hosts(
      fmt::format("server = 'https://{0}'\nca = '{1}server-ca.crt'\n"
                  "client = [['{1}client.crt', '{1}client.key']]\n",
                  host_, tls_));
  const auto result = Pull(host_ + "/app:1");
  EXPECT_TRUE(result.ok()) << result.status() << Log();
}

}  // namespace
}  // namespace davit::image
