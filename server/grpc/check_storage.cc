// SPDX-License-Identifier: Apache-2.0
#include "server/grpc/blocking_writer.h"
#include "server/grpc/davit_service.h"
#include "server/image/check_view.h"

namespace davit::server {
namespace {

using davit::v1::CheckStorageRequest;
using davit::v1::CheckStorageResponse;

class Sender : public storage::CheckObserver {
 public:
  explicit Sender(BlockingWriter<CheckStorageResponse>& call) : call_(call) {}
  void Found(const storage::CheckFinding& finding) override {
    CheckStorageResponse message;
    *message.mutable_finding() = ToMessage(finding);
    if (!call_.Write(std::move(message)).ok()) {
      call_.ctx().Cancel();
    }
  }

 private:
  BlockingWriter<CheckStorageResponse>& call_;
};

absl::Status Check(Node& node, BlockingWriter<CheckStorageResponse>& call,
                   const CheckStorageRequest& request) {
  Sender sender(call);
  ASSIGN_OR_RETURN(
      const storage::CheckReport report,
      node.storage.Check(call.ctx(), {.full = request.full(), .repair = request.repair()}, sender));
  CheckStorageResponse last;
  *last.mutable_report() = ToMessage(report);
  return call.Write(std::move(last));
}

}  // namespace

grpc::ServerWriteReactor<CheckStorageResponse>* DavitServiceImpl::CheckStorage(
    grpc::CallbackServerContext* context, const CheckStorageRequest* request) {
  auto* call = new BlockingWriter<CheckStorageResponse>(*context);
  calls_.Run([this, call, request = *request] {
    const int64_t started = NowNanos();
    call->End("CheckStorage", started, Check(node_, *call, request));
  });
  return call;
}

}  // namespace davit::server
