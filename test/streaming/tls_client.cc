// SPDX-License-Identifier: Apache-2.0
#include "test/streaming/tls_client.h"

#include <chrono>
#include <stdexcept>

#include "base/subprocess.h"

namespace davit::test_streaming {

std::shared_ptr<SSL_CTX> TlsClient(const TlsOptions& options) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // So that what is refused is refused by the server.
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), options.max_version);
  const bool usable =
      SSL_CTX_load_verify_locations(context.get(), options.ca_file.c_str(), nullptr) == 1 &&
      (options.certificate.empty() ||
       (SSL_CTX_use_certificate_chain_file(context.get(), options.certificate.c_str()) == 1 &&
        SSL_CTX_use_PrivateKey_file(context.get(), options.key.c_str(), SSL_FILETYPE_PEM) == 1)) &&
      (options.ciphers.empty() ||
       SSL_CTX_set_cipher_list(context.get(), options.ciphers.c_str()) == 1);
  if (!usable) {
    throw std::runtime_error("settings of TLS that OpenSSL does not take");
  }
  return context;
}

void MakeCertificate(const std::string& certificate, const std::string& key,
                     const std::string& name) {
  Context ctx(std::chrono::seconds(60));
  const auto openssl = FindProgram("openssl");
  if (!openssl.ok()) {
    throw std::runtime_error(openssl.status().ToString());
  }
  const auto run = Run(ctx, {.argv = {*openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                      "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                                      certificate, "-days", "2", "-subj", "/CN=" + name, "-addext",
                                      "subjectAltName=IP:127.0.0.1"},
                             .env = MinimalEnv()});
  if (!run.ok() || run->exit.code != 0) {
    throw std::runtime_error("openssl made no certificate: " +
                             (run.ok() ? run->err : run.status().ToString()));
  }
}

}  // namespace davit::test_streaming
