// SPDX-License-Identifier: Apache-2.0
//
// The streaming server with TLS, over real sockets.
#include <stdlib.h>

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <openssl/x509.h>

#include "base/file.h"
#include "base/pipe.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "server/streaming/server.h"
#include "test/streaming/spdy_client.h"
#include "test/streaming/tls_client.h"
#include "test/streaming/websocket_client.h"

namespace davit::server::streaming {
namespace {

using namespace std::chrono_literals;
using test_streaming::Connection;
using test_streaming::MakeCertificate;
using test_streaming::ParseUrl;
using test_streaming::SpdyClient;
using test_streaming::TlsClient;
using test_streaming::TlsOptions;
using test_streaming::Url;
using test_streaming::WebSocketClient;

// Gives back what it gets.
class EchoEndpoint final : public Endpoint {
 public:
  EchoEndpoint() {
    auto pipe = MakePipe();
    EXPECT_TRUE(pipe.ok());
    in = std::move(pipe->writer);
    out = std::move(pipe->reader);
  }
  void Resize(const TerminalSize&) override {}
};

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    char pattern[] = "/tmp/tls_test.XXXXXX";
    dir_ = mkdtemp(pattern);
    config_.tls_cert = dir_ + "/server.crt";
    config_.tls_key = dir_ + "/server.key";
    MakeCertificate(config_.tls_cert, config_.tls_key, "first");
  }
  ~TlsTest() override {
    server_.reset();
    std::filesystem::remove_all(dir_);
  }

  void Start(const Limits& limits = {}) {
    auto server = Server::Create(config_, executor_, limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  Url EchoUrl() {
    CommandRequest request{.what = "exec", .in = true, .out = true, .start = {}};
    request.start = [](Context&) -> absl::StatusOr<std::unique_ptr<Endpoint>> {
      return std::make_unique<EchoEndpoint>();
    };
    const auto url = server_->AddExec(std::move(request));
    EXPECT_TRUE(url.ok() && url->starts_with("https://127.0.0.1:")) << url.status();
    return ParseUrl(*url);
  }

  // The head of the answer to an upgrade; "" if it does not come to that.
  std::string Upgrade(const TlsOptions& options) {
    const Url url = EchoUrl();
    try {
      Connection connection(url, TlsClient(options));
      return test_streaming::UpgradeToSpdy(connection, url, "v4.channel.k8s.io").substr(0, 12);
    } catch (const std::runtime_error&) {
      return "";
    }
  }
  TlsOptions Trusting(const std::string& certificate) {
    return {.ca_file = certificate, .certificate = {}, .key = {}};
  }

  std::string dir_;
  config::Streaming config_;
  Executor executor_{4};
  std::unique_ptr<Server> server_;
};

TEST_F(TlsTest, SpdyAndWebSocketBothWays) {
  Start();
  const std::string data(size_t{1} << 20U, 'x');
  {
    const Url url = EchoUrl();
    Connection connection(url, TlsClient(Trusting(config_.tls_cert)));
    EXPECT_STREQ(SSL_get_version(connection.tls()), "TLSv1.3");
    test_streaming::UpgradeToSpdy(connection, url, "v4.channel.k8s.io");
    const auto client = test_streaming::SpdyOver(connection);
    const uint32_t error = client->Open({{"streamType", "error"}});
    const uint32_t in = client->Open({{"streamType", "stdin"}});
    const uint32_t out = client->Open({{"streamType", "stdout"}});
    client->Send(in, data.substr(0, 100'000), true);
    client->Until([&] { return client->stream(error).ended; });
    EXPECT_TRUE(client->stream(out).data == data.substr(0, 100'000));
  }
  const Url url = EchoUrl();
  Connection connection(url, TlsClient(Trusting(config_.tls_cert)));
  WebSocketClient client(connection);
  client.Upgrade(url, "v5.channel.k8s.io");
  std::string echoed;
  for (size_t sent = 0; sent < data.size(); sent += 50'000) {
    const std::string part = data.substr(sent, 50'000);
    client.SendChannel(0, part);
    while (echoed.size() < sent + part.size()) {
      const auto message = client.Receive();
      ASSERT_EQ(message.opcode, 2);
      echoed += message.payload[0] == 1 ? message.payload.substr(1) : "";
    }
  }
  EXPECT_TRUE(echoed == data);
}

TEST_F(TlsTest, OldProtocolsAreRefused) {
  Start();
  TlsOptions client = Trusting(config_.tls_cert);
  client.max_version = TLS1_2_VERSION;
  EXPECT_EQ(Upgrade(client), "HTTP/1.1 101");
  client.max_version = TLS1_1_VERSION;
  EXPECT_EQ(Upgrade(client), "");
  config_.tls_min_version = "1.3";
  Start();
  client.max_version = TLS1_2_VERSION;
  EXPECT_EQ(Upgrade(client), "");
  client.max_version = 0;
  EXPECT_EQ(Upgrade(client), "HTTP/1.1 101");
}

TEST_F(TlsTest, OnlyTheCiphersThatWereChosen) {
  config_.tls_ciphers = {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"};
  Start();
  TlsOptions client = Trusting(config_.tls_cert);
  client.max_version = TLS1_2_VERSION;
  EXPECT_EQ(Upgrade(client), "HTTP/1.1 101");
  client.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
  EXPECT_EQ(Upgrade(client), "");
  config_.tls_ciphers = {"no-such-cipher"};
  EXPECT_FALSE(Server::Create(config_, executor_).ok());
}

TEST_F(TlsTest, AClientsCertificateWhereOneIsAsked) {
  TlsOptions client = Trusting(config_.tls_cert);
  client.certificate = dir_ + "/client.crt";
  client.key = dir_ + "/client.key";
  MakeCertificate(client.certificate, client.key, "client");
  config_.tls_ca = client.certificate;
  Start();
  EXPECT_EQ(Upgrade(client), "HTTP/1.1 101");
  EXPECT_EQ(Upgrade(Trusting(config_.tls_cert)), "");
  client.certificate = config_.tls_cert;  // of an authority that is not asked for
  client.key = config_.tls_key;
  EXPECT_EQ(Upgrade(client), "");
}

TEST_F(TlsTest, PlainHttpAndNonsenseAreClosedAndTheServerGoesOn) {
  Start();
  const Url url = EchoUrl();
  for (const std::string& text :
       {"GET " + url.path + " HTTP/1.1\r\n\r\n", std::string(100, '\xff'),
        std::string("\x16\x03\x01\xff\xff", 5) + std::string(70'000, 'x')}) {
    Connection connection(url);
    try {
      connection.Write(text);
      EXPECT_EQ(connection.ReadHead().find("HTTP"), std::string::npos);
    } catch (const std::runtime_error&) {
      // closed before all was written
    }
  }
  EXPECT_EQ(Upgrade(Trusting(config_.tls_cert)), "HTTP/1.1 101");
}

TEST_F(TlsTest, AHandshakeThatDoesNotEndIsCutOff) {
  Start({.request = 1s});
  const Url url = EchoUrl();
  for (const std::string& text : {std::string(), std::string("\x16\x03\x01\x02\x00\x01", 6)}) {
    Connection connection(url);
    connection.Write(text);
    const auto begin = std::chrono::steady_clock::now();
    bool ended = false;
    while (!ended && std::chrono::steady_clock::now() - begin < 10s) {
      (void)connection.ReadWithin(100ms, ended);
    }
    EXPECT_TRUE(ended) << text.size();
  }
  EXPECT_EQ(Upgrade(Trusting(config_.tls_cert)), "HTTP/1.1 101");
}

std::string SubjectOf(const Connection& connection) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      SSL_get1_peer_certificate(connection.tls()), X509_free);
  char name[256] = {};
  X509_NAME_oneline(X509_get_subject_name(certificate.get()), name, sizeof(name));
  return name;
}

// Renewed as a certificate manager does it: the session that is open keeps its keys.
TEST_F(TlsTest, ARenewedCertificateIsUsedWithoutARestart) {
  Start();
  const std::string old_certificate = dir_ + "/old.crt";
  std::filesystem::copy_file(config_.tls_cert, old_certificate);
  const Url url = EchoUrl();
  Connection open(url, TlsClient(Trusting(old_certificate)));
  EXPECT_EQ(SubjectOf(open), "/CN=first");
  WebSocketClient client(open);
  client.Upgrade(url, "v5.channel.k8s.io");
  MakeCertificate(dir_ + "/new.crt", dir_ + "/new.key", "second");
  std::filesystem::rename(dir_ + "/new.key", config_.tls_key);
  std::filesystem::rename(dir_ + "/new.crt", config_.tls_cert);
  std::string subject;
  for (int i = 0; i < 300 && subject != "/CN=second"; ++i) {
    try {
      subject = SubjectOf(Connection(EchoUrl(), TlsClient(Trusting(config_.tls_cert))));
    } catch (const std::runtime_error&) {
      std::this_thread::sleep_for(20ms);  // still the old one, which this client does not trust
    }
  }
  EXPECT_EQ(subject, "/CN=second");
  client.SendChannel(0, "still open");
  std::string echoed;
  while (echoed != "still open") {
    const auto message = client.Receive();
    ASSERT_EQ(message.opcode, 2);
    echoed += message.payload.substr(1);
  }
  // One that cannot be used changes nothing.
  ASSERT_TRUE(WriteFileAtomic(config_.tls_cert + ".keep", *ReadFile(config_.tls_cert)).ok());
  ASSERT_TRUE(WriteFileAtomic(config_.tls_cert, "nonsense").ok());
  std::this_thread::sleep_for(1100ms);  // the server looks once a second
  EXPECT_EQ(Upgrade(Trusting(config_.tls_cert + ".keep")), "HTTP/1.1 101");
}

}  // namespace
}  // namespace davit::server::streaming
