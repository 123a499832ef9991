// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "image/archive/save.h"
#include "server/grpc/blocking_writer.h"
#include "server/grpc/davit_service.h"
#include "server/image/image_view.h"

namespace davit::server {
namespace {

using davit::v1::SaveImagesRequest;
using davit::v1::SaveImagesResponse;

constexpr size_t kPortion = size_t{512} << 10U;

// Small writes (headers, documents) share a message.
class Portions {
 public:
  explicit Portions(BlockingWriter<SaveImagesResponse>& call) : call_(call) {}

  absl::Status Add(std::span<const uint8_t> bytes) {
    next_.mutable_data()->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return next_.data().size() < kPortion ? absl::OkStatus() : Flush();
  }
  absl::Status Flush() {
    SaveImagesResponse full;
    full.Swap(&next_);
    return full.data().empty() ? absl::OkStatus() : call_.Write(std::move(full));
  }

 private:
  BlockingWriter<SaveImagesResponse>& call_;
  SaveImagesResponse next_;
};

// A name saves the image under that name; an ID with all its names.
absl::StatusOr<std::vector<image::ImageToSave>> Choose(const Node& node,
                                                       const SaveImagesRequest& request) {
  std::vector<image::ImageToSave> chosen;
  for (const std::string& name : request.images()) {
    ASSIGN_OR_RETURN(const auto found, FindImage(node, name));
    if (!found) {
      return NotFound("image {} is not here; pull it first", name);
    }
    const auto& tags = (*found)->tags;
    const auto names = node.puller.Names(name);
    const auto tag = std::find_if(tags.begin(), tags.end(), [&names](const std::string& own) {
      return names.ok() && std::find(names->begin(), names->end(), own) != names->end();
    });
    chosen.push_back({*found, tag != tags.end() ? std::vector<std::string>{*tag} : tags});
  }
  if (chosen.empty()) {
    return InvalidArgument("the request names no image to save");
  }
  return chosen;
}

absl::Status Save(Node& node, BlockingWriter<SaveImagesResponse>& call,
                  const SaveImagesRequest& request) {
  ASSIGN_OR_RETURN(const auto images, Choose(node, request));
  Portions portions(call);
  RETURN_IF_ERROR(image::SaveArchive(
      call.ctx(), node.storage, images,
      [&portions](std::span<const uint8_t> bytes) { return portions.Add(bytes); }));
  return portions.Flush();
}

}  // namespace

grpc::ServerWriteReactor<SaveImagesResponse>* DavitServiceImpl::SaveImages(
    grpc::CallbackServerContext* context, const SaveImagesRequest* request) {
  auto* call = new BlockingWriter<SaveImagesResponse>(*context);
  calls_.Run([this, call, request = *request] {
    const int64_t started = NowNanos();
    call->End("SaveImages", started, Save(node_, *call, request));
  });
  return call;
}

}  // namespace davit::server
