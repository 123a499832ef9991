// SPDX-License-Identifier: Apache-2.0
#include "server/grpc/watch_pulls.h"

#include <chrono>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/alarm.h>

#include "server/image/pulls_in_progress.h"

namespace davit::server {
namespace {

constexpr std::chrono::milliseconds kInterval{200};

// Lives until OnDone.
class WatchCall final : public grpc::ServerWriteReactor<davit::v1::PullsInProgress> {
 public:
  WatchCall(const image::Puller& puller, bool watch) : puller_(puller), watch_(watch) { Send(); }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    if (!ok || !watch_ || cancelled_) {
      Finish(grpc::Status::OK);
      return;
    }
    // A new one each time: the old one may still be in its callback.
    pause_ = std::make_unique<grpc::Alarm>();
    pause_->Set(std::chrono::system_clock::now() + kInterval, [this](bool /*elapsed*/) { Wake(); });
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (pause_) {
      pause_->Cancel();
    }
  }

  void OnDone() override { delete this; }

 private:
  void Wake() {
    {
      absl::MutexLock lock(&mutex_);
      if (cancelled_) {
        Finish(grpc::Status::CANCELLED);
        return;
      }
    }
    Send();
  }

  void Send() {
    picture_ = PullsNow(puller_);
    StartWrite(&picture_);
  }

  const image::Puller& puller_;
  const bool watch_;
  davit::v1::PullsInProgress picture_;  // untouched while it is written
  absl::Mutex mutex_;
  std::unique_ptr<grpc::Alarm> pause_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<davit::v1::PullsInProgress>* WatchPulls(
    const Node& node, const davit::v1::WatchPullsRequest& request) {
  return new WatchCall(node.puller, request.watch());
}

}  // namespace davit::server
