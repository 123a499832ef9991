// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>

#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "server/container/container_rpcs.h"
#include "server/container/running.h"
#include "server/container/stream_request.h"
#include "server/oci/monitor.h"
#include "server/paths.h"
#include "server/streaming/server.h"

namespace davit::server {
namespace {

class AttachEndpoint final : public streaming::Endpoint {
 public:
  AttachEndpoint(std::string run_dir, oci::Attachment attachment) : run_dir_(std::move(run_dir)) {
    in = std::move(attachment.in);
    out = std::move(attachment.out);
    err = std::move(attachment.err);
  }

  void Resize(const streaming::TerminalSize& size) override {
    if (const absl::Status status = oci::ResizeTerminal(run_dir_, size.rows, size.columns);
        !status.ok()) {
      log::Debug("resize a terminal: {}", Message(status));
    }
  }

 private:
  const std::string run_dir_;
};

absl::StatusOr<std::unique_ptr<streaming::Endpoint>> Start(Node& node, Context& ctx,
                                                           const std::string& id,
                                                           const oci::AttachStreams& streams) {
  ASSIGN_OR_RETURN(const auto container, FindRunning(node, id, "attach to it"));
  const std::string run_dir = Paths(node.config.storage.run).Container(container->id());
  ASSIGN_OR_RETURN(oci::Attachment attachment, oci::AttachContainer(ctx, run_dir, streams));
  return std::make_unique<AttachEndpoint>(run_dir, std::move(attachment));
}

}  // namespace

absl::StatusOr<runtime::v1::AttachResponse> Attach(Node& node, Context& /*ctx*/,
                                                   const runtime::v1::AttachRequest& request) {
  ASSIGN_OR_RETURN(const auto container, FindRunning(node, request.container_id(), "attach to it"));
  const std::string what = "attach to container " + ShortId(container->id());
  RETURN_IF_ERROR(CheckStreams(request, what));
  const oci::AttachStreams streams = {
      .in = request.stdin(), .out = request.stdout(), .err = request.stderr()};
  runtime::v1::AttachResponse response;
  ASSIGN_OR_RETURN(
      *response.mutable_url(),
      node.streaming.AddAttach({.what = what,
                                .in = request.stdin(),
                                .out = request.stdout(),
                                .err = request.stderr(),
                                .tty = request.tty(),
                                .start = [&node, id = container->id(), streams](Context& ctx) {
                                  return Start(node, ctx, id, streams);
                                }}));
  return response;
}

}  // namespace davit::server
