// SPDX-License-Identifier: Apache-2.0
#include "server/grpc/davit_service.h"

#include <optional>
#include <vector>

#include "absl/synchronization/mutex.h"

#include "server/grpc/watch_pulls.h"
#include "server/image/pull_request.h"
#include "server/image/pulls_in_progress.h"
#include "server/runtime/timeline.h"

namespace davit::server {
namespace {

using davit::v1::PullImageProgress;

PullImageProgress ToMessage(const std::vector<image::LayerProgress>& layers) {
  PullImageProgress message;
  for (const auto& layer : layers) {
    server::ToMessage(layer, *message.add_layers());
  }
  return message;
}

// One write at a time: a slow client sees the newest picture, never a queue of old ones.
class PullCall final : public grpc::ServerWriteReactor<PullImageProgress> {
 public:
  PullCall(grpc::CallbackServerContext* context, const davit::v1::PullImageRequest* request)
      : ctx_(DeadlineOf(*context)), request_(*request) {
    TakeTrace(*context, ctx_);
  }

  void Run(Node& node) {
    const int64_t started = NowNanos();
    auto result = node.puller.Pull(
        ctx_, ToPullRequest(request_.image(), request_.auth(), request_.sandbox_config()),
        [this](const auto& layers) { Offer(ToMessage(layers)); });
    LogCall("PullImage (with progress)", started, result.status());
    PullImageProgress last;
    if (result.ok()) {
      last.set_image_id(result->image_id);
      last.set_image_ref(result->reference);
      last.set_already_present(result->already_present);
      last.set_trace_id(result->trace);
    }
    End(std::move(last), ToGrpc(result.status()));
  }

  void OnCancel() override { ctx_.Cancel(); }
  void OnDone() override { delete this; }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) {
      next_.reset();
    }
    Advance();
  }

 private:
  void Offer(PullImageProgress message) {
    absl::MutexLock lock(&mutex_);
    if (end_) {
      return;
    }
    if (next_) {  // keep the layers of the newest picture only
      next_->Swap(&message);
    } else {
      next_ = std::move(message);
    }
    Advance();
  }

  void End(PullImageProgress last, const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    end_ = status;
    if (status.ok()) {
      if (next_) {
        *last.mutable_layers() = next_->layers();
      }
      next_ = std::move(last);
    } else {
      next_.reset();
    }
    Advance();
  }

  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) {
      return;
    }
    if (next_) {
      current_ = *std::move(next_);
      next_.reset();
      writing_ = true;
      StartWrite(&current_);
    } else if (end_) {
      finished_ = true;
      Finish(*end_);
    }
  }

  Context ctx_;
  const davit::v1::PullImageRequest request_;
  absl::Mutex mutex_;
  PullImageProgress current_ ABSL_GUARDED_BY(mutex_);
  std::optional<PullImageProgress> next_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<PullImageProgress>* DavitServiceImpl::PullImage(
    grpc::CallbackServerContext* context, const davit::v1::PullImageRequest* request) {
  auto* call = new PullCall(context, request);
  calls_.Run([this, call] { call->Run(node_); });
  return call;
}

grpc::ServerWriteReactor<davit::v1::PullsInProgress>* DavitServiceImpl::WatchPulls(
    grpc::CallbackServerContext* /*context*/, const davit::v1::WatchPullsRequest* request) {
  return server::WatchPulls(node_, *request);
}

grpc::ServerUnaryReactor* DavitServiceImpl::Timeline(grpc::CallbackServerContext* context,
                                                     const davit::v1::TimelineRequest* request,
                                                     davit::v1::TimelineResponse* response) {
  return Dispatcher{node_, calls_}.Dispatch(RunOn::kGrpcThread, "Timeline", context, request,
                                            response, &server::Timeline);
}

}  // namespace davit::server
