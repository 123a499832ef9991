// SPDX-License-Identifier: Apache-2.0
//
// A real registry (Debian's docker-registry) on the loopback of the test program, with a storage
// directory of its own. One is started for each program; tests may start more. Images are made and
// pushed on first use. Not thread-safe.
#pragma once

#include <string>

#include "base/digest.h"
#include "base/subprocess.h"
#include "test/images/oci_layout.h"

namespace davit::e2e {

class TestRegistry {
 public:
  struct Options {
    int port = 0;
    std::string user;           // with a password: who may read and write; "" : everybody
    std::string password_hash;  // bcrypt
    std::string password;
    bool tls = false;  // with a certificate for 127.0.0.1 that it signs itself
  };

  // The one of the program, started before its first test.
  static TestRegistry& Shared();
  static void AddToTests();

  explicit TestRegistry(Options options);
  ~TestRegistry();
  TestRegistry(const TestRegistry&) = delete;
  TestRegistry& operator=(const TestRegistry&) = delete;

  // "127.0.0.1:5000"
  [[nodiscard]] std::string host() const;
  // Pushes the fixture image if it is not there yet; "127.0.0.1:5000/busybox:latest".
  std::string Image(const std::string& name);
  // The fixture image `name` under another repository and tag.
  std::string ImageAs(const std::string& name, const std::string& repository,
                      const std::string& tag);
  // Pushes an artifact as repository `name`; "127.0.0.1:5000/name:latest".
  std::string Artifact(const std::string& name, const test::ArtifactSpec& artifact);
  // Digest of what the tag names, as skopeo sees it.
  Digest DigestOf(const std::string& image) const;

  // The certificate, with `tls`.
  [[nodiscard]] std::string certificate() const;
  // What docker-registry has said: with `tls`, also a line for each request.
  [[nodiscard]] std::string Log() const;

  // Where the registry keeps a blob: to damage it.
  [[nodiscard]] std::string BlobFile(const Digest& digest) const;
  // Digest of the last layer of a fixture image that was pushed.
  [[nodiscard]] Digest TopLayer(const std::string& name) const;

  void Start();
  void Stop();

 private:
  [[nodiscard]] std::string Layout(const std::string& name) const;
  void Push(const std::string& name, const std::string& target) const;
  void Copy(const std::string& layout, const std::string& target) const;

  const Options options_;
  const std::string dir_;
  Process process_;
};

}  // namespace davit::e2e
