// SPDX-License-Identifier: Apache-2.0
//
// Sends a list in pieces of about kPieceBytes: each is filled on the executor for calls while
// nothing is written, and written before the next is filled. A client that goes away ends it.
#pragma once

#include <atomic>
#include <exception>

#include <grpcpp/grpcpp.h>

#include "base/executor.h"
#include "base/log.h"
#include "server/chunks.h"

namespace davit::server {

template <typename Response>
class ListStream final : public grpc::ServerWriteReactor<Response> {
 public:
  static constexpr size_t kPieceBytes = 1U << 20U;

  ListStream(Executor& calls, const char* method, Filler<Response> fill)
      : calls_(calls), method_(method), fill_(std::move(fill)) {
    FillLater();
  }

  void OnWriteDone(bool ok) override {
    if (!ok || cancelled_) {
      this->Finish(grpc::Status::CANCELLED);
    } else {
      FillLater();
    }
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  void FillLater() {
    calls_.Run([this] { FillAndWrite(); });
  }

  void FillAndWrite() {
    try {
      piece_.Clear();
      size_t bytes = 0;
      while (!at_end_ && !cancelled_ && bytes < kPieceBytes) {
        const size_t added = fill_(piece_);
        at_end_ = added == 0;
        bytes += added;
      }
      if (bytes > 0 && !cancelled_) {
        this->StartWrite(&piece_);
      } else {
        this->Finish(cancelled_ ? grpc::Status::CANCELLED : grpc::Status::OK);
      }
    } catch (const std::exception& error) {
      log::Error("{}: unexpected exception: {}", method_, error.what());
      this->Finish(grpc::Status(grpc::StatusCode::INTERNAL, error.what()));
    }
  }

  Executor& calls_;
  const char* method_;
  Filler<Response> fill_;
  Response piece_;  // untouched while it is written
  bool at_end_ = false;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace davit::server
