// SPDX-License-Identifier: Apache-2.0
#include "server/grpc/container_events.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/grpcpp.h>

#include "server/events/container_events.h"
#include "server/rpc.h"

namespace davit::server {
namespace {

// Lives until OnDone. Order of locks: the hub's, then this one.
class EventsCall final : public grpc::ServerWriteReactor<runtime::v1::ContainerEventResponse>,
                         public ContainerEvents::Listener {
 public:
  explicit EventsCall(ContainerEvents& events) : events_(events) {
    // The client knows that it is subscribed when it has the headers.
    const absl::Status status = events_.Subscribe(*this);
    absl::MutexLock lock(&mutex_);
    if (status.ok()) {
      StartSendInitialMetadata();
    } else {
      End(ToGrpc(status));
    }
  }

  void OnEvent(const ContainerEvent& event) override {
    absl::MutexLock lock(&mutex_);
    if (!queue_.Push(event)) {
      // A write that is under way is waited for: its end sees the overrun.
      if (!writing_) {
        EndOverrun();
      }
      return;
    }
    WriteNext();
  }

  void OnClose() override {
    absl::MutexLock lock(&mutex_);
    End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "davit is stopping: no more events"));
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    current_.reset();
    if (!ok) {
      End(grpc::Status::CANCELLED);
    } else if (queue_.overrun()) {
      EndOverrun();
    } else {
      WriteNext();
    }
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    End(grpc::Status::CANCELLED);
  }

  void OnDone() override {
    events_.Unsubscribe(*this);
    delete this;
  }

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || ended_) {
      return;
    }
    current_ = queue_.Pop();
    if (current_ != nullptr) {
      writing_ = true;
      StartWrite(current_.get());
    }
  }

  void EndOverrun() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    End(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                     "container events came faster than they were read, some are lost: subscribe "
                     "again, then list pods and containers"));
  }

  void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!std::exchange(ended_, true)) {
      Finish(status);
    }
  }

  ContainerEvents& events_;
  absl::Mutex mutex_;
  EventQueue queue_ ABSL_GUARDED_BY(mutex_);
  ContainerEvent current_ ABSL_GUARDED_BY(mutex_);  // untouched while it is written
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<runtime::v1::ContainerEventResponse>* ListenToContainerEvents(Node& node) {
  return new EventsCall(node.events);
}

}  // namespace davit::server
