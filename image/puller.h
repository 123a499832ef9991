// SPDX-License-Identifier: Apache-2.0
//
// Pulls images: resolve -> manifest -> for each layer, all at once: fetch, SHA-256 of the blob,
// decompress, SHA-256 of the diff, apply -> one commit. Streams; one fetch and one apply for each
// layer however many pulls want it; identical pulls are one. Thread-safe.
//
// Errors: InvalidArgument (reference, malformed manifest), NotFound (no such image or tag),
// Unauthenticated / PermissionDenied (401/403), Unavailable (registry down, 5xx; message begins
// with "RegistryUnavailable"), DataLoss (digest or size mismatch), FailedPrecondition (no manifest
// for this platform), ResourceExhausted (disk full, limits), DeadlineExceeded (no progress),
// Unknown (the signature policy refuses it; message begins with "SignatureValidationFailed").
// Credentials never appear in an error or a log.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/digest.h"
#include "config/config.h"

namespace davit {
class EventLoop;
class Executor;
namespace storage {
class Storage;
}
}  // namespace davit

namespace davit::image {

class PolicyChecker;  // image/policy/checker.h

// What the CRI's AuthConfig carries; all empty: anonymous.
struct Credentials {
  std::string username = {};
  std::string password = {};
  std::string auth = {};            // base64 "user:password"
  std::string identity_token = {};  // OAuth2 refresh token
  std::string registry_token = {};  // bearer token, used as it is
  std::string server_address = {};  // the registry that they are for; "": whichever is asked
  [[nodiscard]] bool empty() const;
};

struct PullRequest {
  std::string name;                // as the user wrote it
  Credentials credentials = {};    // the request's own
  std::string pod_namespace = {};  // of the pod that the image is for; "" if none is known
};

struct LayerProgress {
  Digest blob;
  uint64_t total_bytes = 0;  // compressed; 0: unknown
  uint64_t done_bytes = 0;
  enum class State { kWaiting, kFetching, kDone, kPresent } state = State::kWaiting;
};

// The whole picture at one moment; called at most about ten times a second, on any thread.
using ProgressFn = std::function<void(const std::vector<LayerProgress>&)>;

struct PullResult {
  std::string image_id;   // 64 hex digits
  std::string reference;  // repository@digest: what the CRI calls image_ref
  bool already_present = false;
  std::string trace = {};  // 32 hex digits: how long its stages took (base/trace.h); "" if unknown
};

// One pull that runs now.
struct RunningPull {
  std::string name;  // canonical
  std::string stage;
  int waiters = 0;  // callers that wait for it
  std::chrono::nanoseconds age{0};
  uint64_t bytes_per_second = 0;
  std::vector<LayerProgress> layers;
  std::string trace;
};

class Puller {
 public:
  // With a loop, changes of registries.conf are seen as they happen.
  static absl::StatusOr<std::unique_ptr<Puller>> Create(const config::Image& config,
                                                        storage::Storage& storage,
                                                        const PolicyChecker& policy,
                                                        Executor& executor,
                                                        EventLoop* loop = nullptr);
  virtual ~Puller() = default;

  // The canonical names that `name` can stand for, in the order of the registries to search.
  virtual absl::StatusOr<std::vector<std::string>> Names(const std::string& name) = 0;

  // Reads again what lies outside of the configuration: registries.conf. On an error the last good
  // state stays.
  virtual absl::Status Reload() = 0;
  // Of the last time: OK, or which file is wrong where.
  [[nodiscard]] virtual absl::Status reload_error() const = 0;

  // When `ctx` ends the pull ends, unless another caller waits for it.
  virtual absl::StatusOr<PullResult> Pull(Context& ctx, const PullRequest& request,
                                          const ProgressFn& progress) = 0;

  // Pulls in progress, oldest first.
  [[nodiscard]] virtual std::vector<RunningPull> Running() const { return {}; }
};

// What Puller::Create would say of the mirrors and of registries.conf.
absl::Status CheckRegistries(const config::Image& config);

}  // namespace davit::image
