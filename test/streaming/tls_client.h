// SPDX-License-Identifier: Apache-2.0
//
// What a test's client asks of TLS. Errors throw std::runtime_error.
#pragma once

#include <memory>
#include <string>

#include <openssl/ssl.h>

namespace davit::test_streaming {

struct TlsOptions {
  std::string ca_file;      // whom the server's certificate has to be of
  std::string certificate;  // the client's own, with its key; "": none
  std::string key;
  int max_version = 0;       // TLS1_2_VERSION ...; 0: the newest
  std::string ciphers = {};  // of TLS 1.2, as OpenSSL names them
};

std::shared_ptr<SSL_CTX> TlsClient(const TlsOptions& options);

// A certificate that signs itself, with its key: for 127.0.0.1, with this name as its subject. Made
// by the openssl program.
void MakeCertificate(const std::string& certificate, const std::string& key,
                     const std::string& name);

}  // namespace davit::test_streaming
