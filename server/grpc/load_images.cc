// SPDX-License-Identifier: Apache-2.0
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/text.h"
#include "image/archive/load.h"
#include "image/policy/checker.h"
#include "server/grpc/davit_service.h"
#include "storage/byte_source.h"

namespace davit::server {
namespace {

using davit::v1::LoadImagesRequest;
using davit::v1::LoadImagesResponse;

// Reads the next message when the one before has been taken: the client's flow control does the
// rest.
class LoadCall final : public grpc::ServerReadReactor<LoadImagesRequest>,
                       public storage::ByteSource {
 public:
  LoadCall(const grpc::CallbackServerContext& context, LoadImagesResponse* response)
      : ctx_(DeadlineOf(context)), response_(response) {}

  void Run(Node& node) {
    const int64_t started = NowNanos();
    const absl::Status status = Load(node);
    LogCall("LoadImages", started, status);
    Finish(ToGrpc(status));
  }

  // Of the thread that decompresses.
  absl::StatusOr<std::span<const uint8_t>> Next() override {
    absl::MutexLock lock(&mutex_);
    if (!unread_) {
      do {
        RETURN_IF_ERROR(Read());
      } while (!ended_ && message_.data().empty());
    }
    unread_ = false;
    return std::span<const uint8_t>(reinterpret_cast<const uint8_t*>(message_.data().data()),
                                    message_.data().size());
  }

  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    ended_ = ended_ || !ok;
  }
  void OnCancel() override {
    ctx_.Cancel();
    Stop();
  }
  void OnDone() override { delete this; }

 private:
  absl::Status Load(Node& node) {
    ASSIGN_OR_RETURN(const image::LoadOptions options, ReadOptions(node));
    ASSIGN_OR_RETURN(const auto images, image::LoadArchive(ctx_, node.storage, node.config.image,
                                                           options, *this, [this] { Stop(); }));
    for (const auto& image : images) {
      auto* out = response_->add_images();
      out->set_id(image.id);
      for (const std::string& name : image.names) {
        out->add_names(name);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<image::LoadOptions> ReadOptions(Node& node) {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Read());
    unread_ = !message_.data().empty();
    image::LoadOptions options{.repository = message_.repository(), .admit = {}};
    const bool directory = message_.directory();
    const std::string path = message_.path().empty() ? "/dev/stdin" : message_.path();
    if (!path.starts_with('/')) {
      return InvalidArgument("the path of the archive, '{}', is not absolute", Printable(path));
    }
    options.admit = [this, &node, directory, path](const std::string& transport) {
      const bool layout = directory && transport == "oci-archive";
      return node.policy.CheckFile(ctx_, layout ? "oci" : transport, path);
    };
    return options;
  }

  // Into message_; without data at the end of the stream.
  absl::Status Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (stopped_) {  // a read that was begun may still write to message_
      return absl::CancelledError("the archive is not read any further");
    }
    message_.Clear();
    if (!ended_) {
      reading_ = true;
      StartRead(&message_);
    }
    mutex_.Await(absl::Condition(this, &LoadCall::Readable));
    return stopped_ ? absl::CancelledError("the archive is not read any further")
                    : absl::OkStatus();
  }

  bool Readable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !reading_ || stopped_; }
  void Stop() {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }

  Context ctx_;
  LoadImagesResponse* response_;
  absl::Mutex mutex_;
  LoadImagesRequest message_ ABSL_GUARDED_BY(mutex_);
  bool unread_ ABSL_GUARDED_BY(mutex_) = false;  // the data of message_ has not been given out
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerReadReactor<LoadImagesRequest>* DavitServiceImpl::LoadImages(
    grpc::CallbackServerContext* context, LoadImagesResponse* response) {
  auto* call = new LoadCall(*context, response);
  calls_.Run([this, call] { call->Run(node_); });
  return call;
}

}  // namespace davit::server
