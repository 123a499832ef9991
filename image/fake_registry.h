// SPDX-License-Identifier: Apache-2.0
//
// Test-only: a registry on a FakeServer, with images made on the spot and faults on demand. It
// keeps what it was asked. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/digest.h"
#include "image/fake_server.h"

namespace davit::image {

struct FakeImage {
  struct Blob {
    std::string media_type;
    std::string bytes;
    std::string urls = {};  // JSON array; "" for none
  };
  std::vector<Blob> layers;
  std::string config;
  std::string manifest;

  [[nodiscard]] std::string id() const { return Digest::Sha256Of(config).hex(); }
  [[nodiscard]] Digest digest() const { return Digest::Sha256Of(manifest); }
  [[nodiscard]] Digest layer(size_t i) const { return Digest::Sha256Of(layers.at(i).bytes); }
};

// An OCI image of gzip layers, each of the given tar, for `architecture` ("" is this host's).
FakeImage MakeImage(const std::vector<std::string>& tars, const std::string& architecture = "");
// Writes the manifest anew, after a change of the layers' blobs.
void UpdateManifest(FakeImage& image);

class FakeRegistry {
 public:
  explicit FakeRegistry(uint16_t port = 0);

  // Under tag and digest.
  void Add(const std::string& repository, const std::string& tag, const FakeImage& image);
  void AddBlob(const Digest& digest, const std::string& bytes);
  void AddManifest(const std::string& repository, const std::string& reference,
                   const std::string& media_type, const std::string& bytes);

  // Changes the next `times` answers to requests whose target contains `part`.
  using Fault = std::function<void(const FakeRequest&, FakeResponse&)>;
  void Inject(const std::string& part, int times, Fault fault);
  void ClearFaults();

  // Bearer tokens from this very server, for `username` and `password`.
  void RequireToken(const std::string& username, const std::string& password);
  void RequireBasic(const std::string& username, const std::string& password);
  void ForbidRanges();

  [[nodiscard]] std::string host() const { return server_.host(); }
  // "GET /v2/… [range]" in their order, since the last call.
  std::vector<std::string> TakeRequests();
  // Every Authorization header ever sent here.
  [[nodiscard]] std::vector<std::string> authorizations() const;

 private:
  struct Manifest {
    std::string media_type;
    std::string bytes;
  };
  struct ActiveFault {
    std::string part;
    int times;
    Fault fault;
  };

  FakeResponse Handle(const FakeRequest& request);
  FakeResponse Answer(const FakeRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeResponse Token(const FakeRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeResponse Content(const FakeRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, Manifest> manifests_ ABSL_GUARDED_BY(mutex_);  // by repository/reference
  std::map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<ActiveFault> faults_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> authorizations_ ABSL_GUARDED_BY(mutex_);
  std::string basic_ ABSL_GUARDED_BY(mutex_);
  bool tokens_ ABSL_GUARDED_BY(mutex_) = false;
  bool ranges_ ABSL_GUARDED_BY(mutex_) = true;
  FakeServer server_;  // the last: its thread uses the rest
};

}  // namespace davit::image
