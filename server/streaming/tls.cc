// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/tls.h"

#include <sys/stat.h>

#include <string>
#include <utility>

#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::streaming {
namespace {

namespace ssl = asio::ssl;
using asio::ip::tcp;

constexpr std::chrono::seconds kLookEvery{1};
constexpr size_t kReadSize = size_t{16} << 10U;  // one record
constexpr char kTls13Prefix[] = "TLS_AES_";
constexpr char kTls13ChaCha[] = "TLS_CHACHA20_POLY1305_SHA256";

// Changes with every way of renewing: rename, rewrite, a symlink that is switched.
std::string Look(const std::string& path) {
  struct stat file = {};
  if (path.empty() || stat(path.c_str(), &file) != 0) {
    return "-;";
  }
  return fmt::format("{}.{}.{}.{}.{};", file.st_dev, file.st_ino, file.st_size, file.st_mtim.tv_sec,
                     file.st_mtim.tv_nsec);
}

std::string Look(const config::Streaming& config) {
  return Look(config.tls_cert) + Look(config.tls_key) + Look(config.tls_ca);
}

absl::Status FileError(const char* what, const std::string& path,
                       const boost::system::error_code& error) {
  return error ? InvalidArgument("{} {}: {}", what, path, error.message()) : absl::OkStatus();
}

// Names as in RFCs (what CRI-O and Kubernetes take) or as OpenSSL's.
absl::Status SetCiphers(ssl::context& context, const std::vector<std::string>& names) {
  std::vector<std::string> old;
  std::vector<std::string> tls13;
  for (const std::string& name : names) {
    if (name.starts_with(kTls13Prefix) || name == kTls13ChaCha) {
      tls13.push_back(name);
      continue;
    }
    const char* standard = OPENSSL_cipher_name(name.c_str());
    old.emplace_back(standard != nullptr && std::string_view(standard) != "(NONE)" ? standard
                                                                                   : name.c_str());
  }
  if (!old.empty() &&
      SSL_CTX_set_cipher_list(context.native_handle(), Join(old, ":").c_str()) != 1) {
    return InvalidArgument("streaming.tls_ciphers: OpenSSL knows none of {}", Join(old, ", "));
  }
  if (!tls13.empty() &&
      SSL_CTX_set_ciphersuites(context.native_handle(), Join(tls13, ":").c_str()) != 1) {
    return InvalidArgument("streaming.tls_ciphers: OpenSSL does not know {}", Join(tls13, ", "));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<ssl::context>> MakeContext(const config::Streaming& config) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  boost::system::error_code error;
  context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                           ssl::context::no_sslv3 | SSL_OP_NO_RENEGOTIATION,
                       error);
  const int oldest = config.tls_min_version == "1.3" ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(context->native_handle(), oldest) != 1) {
    return InvalidArgument("streaming.tls_min_version: OpenSSL does not take {}",
                           config.tls_min_version);
  }
  RETURN_IF_ERROR(SetCiphers(*context, config.tls_ciphers));
  context->use_certificate_chain_file(config.tls_cert, error);
  RETURN_IF_ERROR(FileError("streaming.tls_cert", config.tls_cert, error));
  context->use_private_key_file(config.tls_key, ssl::context::pem, error);
  RETURN_IF_ERROR(FileError("streaming.tls_key", config.tls_key, error));
  if (!config.tls_ca.empty()) {
    context->load_verify_file(config.tls_ca, error);
    RETURN_IF_ERROR(FileError("streaming.tls_ca", config.tls_ca, error));
    context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
  }
  return context;
}

class TlsTransport final : public Transport {
 public:
  TlsTransport(tcp::socket socket, std::shared_ptr<ssl::context> tls)
      : tls_(std::move(tls)), stream_(std::move(socket), *tls_) {}

  awaitable<bool> Open() override {
    const auto [error] = co_await stream_.async_handshake(ssl::stream_base::server, kTuple);
    if (error) {
      log::Debug("streaming: TLS handshake: {}", error.message());
    }
    co_return !error;
  }

  awaitable<std::string_view> Read() override {
    const auto [error, count] =
        co_await stream_.async_read_some(asio::buffer(buffer_.get(), kReadSize), kTuple);
    co_return error ? std::string_view() : std::string_view(buffer_.get(), count);
  }

  awaitable<bool> Write(std::string_view data) override {
    const auto [error, count] =
        co_await asio::async_write(stream_, asio::buffer(data.data(), data.size()), kTuple);
    co_return !error;
  }

  // The close notification, and its answer; the reader may still be reading meanwhile.
  awaitable<void> EndOutput() override {
    co_await stream_.async_shutdown(kTuple);
    boost::system::error_code ignored;
    stream_.next_layer().shutdown(tcp::socket::shutdown_send, ignored);
  }

  void Close() override {
    boost::system::error_code ignored;
    stream_.next_layer().close(ignored);
  }

 private:
  std::shared_ptr<ssl::context> tls_;
  ssl::stream<tcp::socket> stream_;
  std::unique_ptr<char[]> buffer_ = std::make_unique_for_overwrite<char[]>(kReadSize);
};

}  // namespace

std::unique_ptr<Transport> MakeTlsTransport(tcp::socket socket, std::shared_ptr<ssl::context> tls) {
  return std::make_unique<TlsTransport>(std::move(socket), std::move(tls));
}

absl::StatusOr<std::unique_ptr<Tls>> Tls::Create(const config::Streaming& config) {
  std::unique_ptr<Tls> tls(new Tls(config));
  RETURN_IF_ERROR(tls->Load());
  return tls;
}

absl::Status Tls::Load() {
  looked_at_ = std::chrono::steady_clock::now();
  seen_ = Look(config_);
  ASSIGN_OR_RETURN(context_, MakeContext(config_));
  return absl::OkStatus();
}

std::shared_ptr<ssl::context> Tls::Current() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_at_ >= kLookEvery) {
    looked_at_ = now;
    if (Look(config_) != seen_) {
      log::IfError(Load(), "load the renewed certificate of the streaming server");
    }
  }
  return context_;
}

}  // namespace davit::server::streaming
