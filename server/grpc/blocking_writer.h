// SPDX-License-Identifier: Apache-2.0
//
// A call whose response is a stream that one thread of the executor writes, message after message,
// each when the one before is on its way: memory stays bounded however slow the client is.
#pragma once

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "server/rpc.h"

namespace davit::server {

template <typename Message>
class BlockingWriter : public grpc::ServerWriteReactor<Message> {
 public:
  explicit BlockingWriter(const grpc::CallbackServerContext& context) : ctx_(DeadlineOf(context)) {}

  Context& ctx() { return ctx_; }

  // Cancelled if the client is gone.
  absl::Status Write(Message message) {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BlockingWriter::Idle));
    if (broken_) {
      return absl::CancelledError("the client went away");
    }
    message_ = std::move(message);
    writing_ = true;
    this->StartWrite(&message_);
    return absl::OkStatus();
  }

  // The last call of the thread: *this may be gone when it returns.
  void End(const char* method, int64_t started_ns, const absl::Status& status) {
    LogCall(method, started_ns, status);
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &BlockingWriter::Idle));
    }
    this->Finish(ToGrpc(status));
  }

  void OnCancel() override { ctx_.Cancel(); }
  void OnDone() override { delete this; }
  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    broken_ = broken_ || !ok;
  }

 private:
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !writing_; }

  Context ctx_;
  absl::Mutex mutex_;
  Message message_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace davit::server
