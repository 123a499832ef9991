// SPDX-License-Identifier: Apache-2.0
#include "server/image/collect_garbage.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "base/time.h"
#include "image/pinned.h"

namespace davit::server {
namespace {

using davit::v1::CollectGarbageRequest;
using davit::v1::CollectGarbageResponse;
using ImagePtr = std::shared_ptr<const storage::ImageRecord>;

constexpr int64_t kNanosInSecond = 1'000'000'000;

void Add(CollectGarbageResponse& response, const char* kind, const std::string& name,
         const std::string& id, uint64_t bytes) {
  auto* garbage = response.add_garbage();
  garbage->set_kind(kind);
  garbage->set_name(name);
  garbage->set_id(id);
  garbage->set_bytes(bytes);
  response.set_bytes(response.bytes() + bytes);
}

// How much must go for `keep_free` bytes to be free; everything if that is 0.
absl::StatusOr<uint64_t> Wanted(const std::string& root, uint64_t keep_free) {
  if (keep_free == 0) {
    return std::numeric_limits<uint64_t>::max();
  }
  struct statvfs fs = {};
  if (statvfs(root.c_str(), &fs) != 0) {
    return ErrnoStatus(errno, "statvfs " + root);
  }
  const uint64_t free = uint64_t{fs.f_bavail} * fs.f_frsize;
  return free >= keep_free ? 0 : keep_free - free;
}

// Oldest first.
std::vector<ImagePtr> Unused(const Node& node, int64_t older_than_seconds) {
  const std::set<std::string> used = node.storage.ImagesInUse();
  const int64_t before = NowNanos() - older_than_seconds * kNanosInSecond;
  std::vector<ImagePtr> unused;
  for (const ImagePtr& image : node.storage.ListImages()) {
    if (!image::IsPinned(*image, node.config.image.pinned) && image->pulled_at_ns <= before &&
        image->store.empty() && !used.contains(image->id)) {
      unused.push_back(image);
    }
  }
  std::sort(unused.begin(), unused.end(),
            [](const ImagePtr& a, const ImagePtr& b) { return a->pulled_at_ns < b->pulled_at_ns; });
  return unused;
}

absl::Status CollectImages(Node& node, Context& ctx, const CollectGarbageRequest& request,
                           CollectGarbageResponse& response) {
  ASSIGN_OR_RETURN(const uint64_t wanted, Wanted(node.storage.root(), request.keep_free_bytes()));
  uint64_t gone = 0;
  for (const ImagePtr& image : Unused(node, request.older_than_seconds())) {
    RETURN_IF_ERROR(ctx.Check());
    if (gone >= wanted) {
      break;
    }
    if (!request.dry_run()) {
      const absl::Status status = node.storage.RemoveImage(image->id);
      if (absl::IsFailedPrecondition(status)) {
        continue;  // a container has come to use it
      }
      RETURN_IF_ERROR(status);
    }
    gone += image->size;
    Add(response, "image", image->tags.empty() ? "" : image->tags.front(), image->id, image->size);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CollectGarbageResponse> CollectGarbage(Node& node, Context& ctx,
                                                      const CollectGarbageRequest& request) {
  if (request.older_than_seconds() < 0) {
    return InvalidArgument("the age of images cannot be negative");
  }
  ctx.SetStage("collect garbage");
  CollectGarbageResponse response;
  ASSIGN_OR_RETURN(const auto strays, node.storage.Strays(!request.dry_run()));
  for (const auto& stray : strays) {
    Add(response, "directory", stray.path, "", stray.bytes);
  }
  if (request.images()) {
    RETURN_IF_ERROR(CollectImages(node, ctx, request, response));
  }
  return response;
}

}  // namespace davit::server
