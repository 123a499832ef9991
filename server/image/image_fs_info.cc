// SPDX-License-Identifier: Apache-2.0
#include "server/image/image_rpcs.h"
#include "server/stats/writable_usage.h"

namespace davit::server {
namespace {

void Fill(const storage::FsUsage& usage, runtime::v1::FilesystemUsage& out) {
  out.set_timestamp(usage.timestamp_ns);
  out.mutable_fs_id()->set_mountpoint(usage.mountpoint);
  out.mutable_used_bytes()->set_value(usage.used_bytes);
  out.mutable_inodes_used()->set_value(usage.inodes_used);
}

}  // namespace

absl::StatusOr<runtime::v1::ImageFsInfoResponse> ImageFsInfo(
    Node& node, Context& /*ctx*/, const runtime::v1::ImageFsInfoRequest& /*request*/) {
  runtime::v1::ImageFsInfoResponse response;
  const storage::FsUsage images = node.storage.ImageFsUsage();
  Fill(images, *response.add_image_filesystems());
  node.usage.MeasureImages();  // for the next answer
  storage::FsUsage containers = node.usage.Total();
  containers.mountpoint = images.mountpoint;
  Fill(containers, *response.add_container_filesystems());
  return response;
}

}  // namespace davit::server
