// SPDX-License-Identifier: Apache-2.0
//
// The test's end of a connection with a streaming server: blocking, with a time limit on
// everything. Errors throw std::runtime_error.
//
// The clients of this folder are written from the specifications (HTTP/1.1, SPDY Protocol
// Draft 3.1, RFC 6455, the channel protocols of Kubernetes) and share nothing with the server, so
// that a mistake is not made twice.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

#include "base/fd.h"

namespace davit::test_streaming {

inline constexpr std::chrono::seconds kPatience{30};

struct Url {
  std::string host;
  int port = 0;
  std::string path;
};
// http://ADDRESS:PORT/PATH, or https
Url ParseUrl(const std::string& url);

class Connection {
 public:
  explicit Connection(const Url& url);
  // With TLS; throws if the handshake fails.
  Connection(const Url& url, const std::shared_ptr<SSL_CTX>& tls);

  void Write(std::string_view data);
  // Some bytes; "" at the end, or when the connection was reset.
  std::string Read();
  // Exactly so many; what is missing at the end throws.
  std::string ReadExactly(size_t size);
  // Up to and including the empty line of an HTTP answer; "" if the server closed before.
  std::string ReadHead();
  // What is there within this time; sets `ended`.
  std::string ReadWithin(std::chrono::milliseconds time, bool& ended);
  void Unread(const std::string& data) { pending_ = data + pending_; }
  void CloseOutput();
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] SSL* tls() const { return tls_.get(); }

 private:
  UniqueFd fd_;
  std::shared_ptr<SSL> tls_;
  std::string pending_;
};

}  // namespace davit::test_streaming
