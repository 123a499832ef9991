// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include <fmt/format.h>

#include "base/time.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/progress.h"
#include "server/cli/pull_one.h"
#include "server/cli/timeline.h"

namespace davit::server::cli {
namespace {

absl::Status SetCredentials(const std::string& text, runtime::v1::AuthConfig& auth) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return InvalidArgument("--creds must be USER:PASSWORD");
  }
  auth.set_username(text.substr(0, colon));
  auth.set_password(text.substr(colon + 1));
  return absl::OkStatus();
}

constexpr size_t kMostAtOnce = 8;

// Pulls the images of one command, several at a time.
class Pulls {
 public:
  Pulls(const Globals& globals, const PullOptions& options)
      : globals_(globals),
        options_(options),
        client_(globals.socket),
        bars_(::isatty(STDOUT_FILENO) == 1, options.images) {}

  absl::Status Run() {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < std::min(kMostAtOnce, options_.images.size()); ++i) {
      threads.emplace_back([this] {
        for (size_t image = next_++; image < options_.images.size(); image = next_++) {
          Note(image, Pull(image));
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    absl::MutexLock lock(&mutex_);
    return first_error_;
  }

 private:
  absl::Status Pull(size_t image) {
    davit::v1::PullImageRequest request;
    request.mutable_image()->set_image(options_.images[image]);
    if (!options_.credentials.empty()) {
      RETURN_IF_ERROR(SetCredentials(options_.credentials, *request.mutable_auth()));
    }
    const int64_t started = NowNanos();
    ASSIGN_OR_RETURN(const auto result,
                     PullOne(client_, request, globals_.json ? nullptr : &bars_, image));
    bars_.Print(globals_.json
                    ? fmt::format("{{\"image\": \"{}\", \"id\": \"{}\", \"reference\": \"{}\"}}\n",
                                  options_.images[image], result.image_id(), result.image_ref())
                    : fmt::format("{}\n{} in {}\n", result.image_ref(),
                                  result.already_present() ? "already here" : "pulled",
                                  HumanDuration(NowNanos() - started)));
    if (options_.timing && !result.trace_id().empty()) {
      absl::MutexLock lock(&mutex_);
      RETURN_IF_ERROR(PrintTimeline(client_, result.trace_id(), globals_.json));
    }
    return absl::OkStatus();
  }

  // The command ends with the first error; the others are told when they come.
  void Note(size_t image, const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (first_error_.ok()) {
      first_error_ = status;
    } else if (!status.ok()) {
      fmt::print(stderr, "davit: {}: {}\n", options_.images[image], Message(status));
    }
  }

  const Globals& globals_;
  const PullOptions& options_;
  Client client_;
  PullProgress bars_;
  std::atomic<size_t> next_ = 0;
  absl::Mutex mutex_;
  absl::Status first_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<davit::v1::PullImageProgress> PullOne(Client& client,
                                                     const davit::v1::PullImageRequest& request,
                                                     PullProgress* bars, size_t image) {
  grpc::ClientContext context;
  auto reader = client.davit().PullImage(&context, request);
  davit::v1::PullImageProgress last;
  for (davit::v1::PullImageProgress progress; reader->Read(&progress);) {
    if (bars != nullptr) {
      bars->Show(image, progress);
    }
    last.Swap(&progress);
  }
  RETURN_IF_ERROR(client.Translate(reader->Finish()));
  return last;
}

absl::Status RunPull(const Globals& globals, const PullOptions& options) {
  return Pulls(globals, options).Run();
}

}  // namespace davit::server::cli
