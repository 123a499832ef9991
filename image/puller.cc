// SPDX-License-Identifier: Apache-2.0
#include "image/puller.h"

#include <algorithm>

#include "base/cri_errors.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/status.h"
#include "base/text.h"
#include "image/auth/login.h"
#include "image/auth/namespaced_auth.h"
#include "image/flights.h"
#include "image/policy/checker.h"
#include "image/pull.h"
#include "image/reference.h"
#include "image/registries/endpoints.h"
#include "image/registries/registries.h"
#include "image/registries/short_name.h"
#include "storage/storage.h"

namespace davit::image {
namespace {

constexpr std::chrono::milliseconds kTick{50};
constexpr std::chrono::milliseconds kProgressInterval{100};
// How many layers are fetched at a time over all pulls: bounds memory and disk traffic.
constexpr size_t kPullsWorthOfLayers = 2;

using PullFlights = Flights<PullResult, PullProgress>;

// The start of the message is what the kubelet knows a failing registry or signature by.
absl::Status Describe(const absl::Status& status, const std::string& name) {
  if (Message(status).starts_with(kSignatureValidationFailed)) {
    return status;
  }
  const absl::Status described = Annotate(status, "pull " + name);
  return absl::IsUnavailable(status) ? Annotate(described, kRegistryUnavailable) : described;
}

// Pulls are the same if they may ask for the same with the same right.
std::string FlightKey(const Reference& reference, const PullRequest& request) {
  return Join({reference.canonical(), Fingerprint(request.credentials), request.pod_namespace},
              "|");
}

class PullerImpl : public Puller {
 public:
  PullerImpl(const config::Image& config, storage::Storage& storage, const PolicyChecker& policy,
             Executor& executor, std::unique_ptr<Registries> registries)
      : config_(config),
        storage_(storage),
        policy_(policy),
        registries_(std::move(registries)),
        layer_threads_(static_cast<size_t>(std::max(config.max_parallel_layers, 1)) *
                       kPullsWorthOfLayers),
        ranges_(static_cast<size_t>(config.range_memory) / kRangeBytes,
                static_cast<size_t>(config.max_ranges_per_layer)),
        layers_(layer_threads_),
        pulls_(executor) {}

  absl::StatusOr<PullResult> Pull(Context& ctx, const PullRequest& request,
                                  const ProgressFn& progress) override {
    ASSIGN_OR_RETURN(const std::vector<Reference> candidates,
                     ResolveName(request.name, *registries_->Get(), config_));
    std::vector<std::string> failures;
    for (const Reference& reference : candidates) {
      auto result = PullOne(ctx, reference, request, progress);
      if (result.ok() || candidates.size() == 1 || !ctx.Check().ok()) {
        return result;
      }
      failures.push_back(Message(result.status()));
      if (failures.size() == candidates.size()) {
        return absl::Status(
            result.status().code(),
            fmt::format("no registry gives {}: {}", request.name, Join(failures, "; ")));
      }
    }
    return Internal("{} means nothing", request.name);
  }

  absl::StatusOr<std::vector<std::string>> Names(const std::string& name) override {
    ASSIGN_OR_RETURN(const std::vector<Reference> candidates,
                     CandidatesOf(name, *registries_->Get(), config_));
    std::vector<std::string> names;
    for (const Reference& reference : candidates) {
      names.push_back(reference.canonical());
    }
    return names;
  }

  absl::Status Reload() override { return registries_->Reload(); }
  absl::Status reload_error() const override { return registries_->last_error(); }

  [[nodiscard]] std::vector<RunningPull> Running() const override {
    const auto now = Context::Clock::now();
    std::vector<RunningPull> pulls;
    for (const auto& view : pulls_.Running()) {
      pulls.push_back({.name = view.key.substr(0, view.key.find('|')),
                       .stage = view.stage,
                       .waiters = view.tickets,
                       .age = now - view.progress->started(),
                       .bytes_per_second = view.progress->bytes_per_second(),
                       .layers = view.progress->Get(),
                       .trace = HexEncode(view.progress->trace())});
    }
    std::sort(pulls.begin(), pulls.end(),
              [](const RunningPull& a, const RunningPull& b) { return a.age > b.age; });
    return pulls;
  }

 private:
  absl::StatusOr<PullResult> PullOne(Context& ctx, const Reference& reference,
                                     const PullRequest& request, const ProgressFn& progress) {
    auto present = FindByDigest(ctx, reference, request);
    if (!present.ok()) {
      return Describe(present.status(), reference.canonical());
    }
    if (*present) {
      // A login that was written for this pull must not lie about until the next.
      RETURN_IF_ERROR(TakeNamespacedAuth(config_.namespaced_auth_dir, request.pod_namespace,
                                         reference.repository())
                          .status());
      return **std::move(present);
    }
    const std::string key = FlightKey(reference, request);
    PullFlights::Ticket ticket =
        pulls_.Join(key, [this, reference, request, span = ctx.span()](
                             Context& pull_ctx, PullProgress& pull_progress) {
          pull_ctx.SetSpan(span);
          return RunPull(pull_ctx, environment_, reference, request, pull_progress);
        });
    auto result = Await(ctx, ticket, progress);
    if (!result.ok()) {
      return Describe(result.status(), reference.canonical());
    }
    result->trace = HexEncode(ticket.progress().trace());
    return result;
  }

  // What a digest names never changes: if it is here, the registry need not be asked.
  [[nodiscard]] absl::StatusOr<std::optional<PullResult>> FindByDigest(
      Context& ctx, const Reference& reference, const PullRequest& request) const {
    if (reference.digest.empty()) {
      return std::nullopt;
    }
    ASSIGN_OR_RETURN(const auto found, storage_.FindImage(reference.canonical()));
    if (!found) {
      return std::nullopt;
    }
    RETURN_IF_ERROR(policy_.CheckPresent(ctx, **found, WithName(request, reference)));
    return PullResult{
        .image_id = (*found)->id, .reference = reference.canonical(), .already_present = true};
  }

  absl::StatusOr<PullResult> Await(Context& ctx, const PullFlights::Ticket& ticket,
                                   const ProgressFn& progress) {
    auto next_report = Context::Clock::now();
    while (true) {
      const uint64_t ended = pulls_.ended();
      auto result = ticket.result();
      if (progress && (result || Context::Clock::now() >= next_report)) {
        progress(ticket.progress().Get());
        next_report = Context::Clock::now() + kProgressInterval;
      }
      if (result) {
        return *std::move(result);
      }
      if (!ctx.Check().ok()) {
        ctx.SetStage(ticket.stage());  // for the message: where the pull has got to
        return ctx.Check();
      }
      pulls_.AwaitMore(ended, kTick);
    }
  }

  const config::Image config_;
  storage::Storage& storage_;
  const PolicyChecker& policy_;
  const std::unique_ptr<Registries> registries_;
  UncommittedLayers uncommitted_;
  // Threads of its own: pulls wait for layers, and must not wait behind each other for a thread.
  Executor layer_threads_;
  RangePool ranges_;
  LayerFlights layers_;
  const PullEnvironment environment_{.config = config_,
                                     .storage = storage_,
                                     .policy = policy_,
                                     .flights = layers_,
                                     .uncommitted = uncommitted_,
                                     .ranges = ranges_,
                                     .registries = *registries_};
  PullFlights pulls_;  // the last: its end waits for all that use the rest
};

}  // namespace

absl::Status CheckRegistries(const config::Image& config) {
  RETURN_IF_ERROR(CheckMirrors(config));
  return Registries::Create(config).status();
}

absl::StatusOr<std::unique_ptr<Puller>> Puller::Create(const config::Image& config,
                                                       storage::Storage& storage,
                                                       const PolicyChecker& policy,
                                                       Executor& executor, EventLoop* loop) {
  // A mistake in a mirror should be seen when the daemon starts, not at the first pull.
  RETURN_IF_ERROR(CheckMirrors(config));
  RETURN_IF_ERROR(SweepNamespacedAuth(config.namespaced_auth_dir));
  ASSIGN_OR_RETURN(auto registries, Registries::Create(config));
  if (loop != nullptr) {
    RETURN_IF_ERROR(registries->Watch(*loop));
  }
  return std::make_unique<PullerImpl>(config, storage, policy, executor, std::move(registries));
}

}  // namespace davit::image
