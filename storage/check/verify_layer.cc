// SPDX-License-Identifier: Apache-2.0
#include "storage/check/verify_layer.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/check/compare_tree.h"
#include "storage/recipe/recipe_reader.h"

namespace davit::storage {
namespace {

constexpr size_t kMaxNamed = 5;

// The tar as it is made again, hashed on the way.
class HashedTar : public ByteSource {
 public:
  HashedTar(Context& ctx, ByteSource& tar) : ctx_(ctx), tar_(tar) {}

  absl::StatusOr<std::span<const uint8_t>> Next() override {
    RETURN_IF_ERROR(ctx_.Check());
    ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, tar_.Next());
    hasher_.Update(bytes);
    return bytes;
  }
  Digest Finish() { return hasher_.Finish(); }

 private:
  Context& ctx_;
  ByteSource& tar_;
  Hasher hasher_;
};

class Damages {
 public:
  void Add(const std::string& text) {
    if (std::find(texts_.begin(), texts_.end(), text) != texts_.end()) {
      return;
    }
    if (texts_.size() < kMaxNamed) {
      texts_.push_back(text);
    } else {
      ++more_;
    }
  }
  void AddMore(uint64_t count) { more_ += count; }
  [[nodiscard]] bool none() const { return texts_.empty(); }
  [[nodiscard]] std::string Text() const {
    std::string all;
    for (const std::string& text : texts_) {
      all += (all.empty() ? "" : "; ") + text;
    }
    return more_ == 0 ? all : all + fmt::format("; and {} more", more_);
  }

 private:
  std::vector<std::string> texts_;
  uint64_t more_ = 0;
};

// Damage of the layer, as against an error that says nothing about it.
bool IsDamage(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) || absl::IsNotFound(status);
}

absl::Status CompareAll(HashedTar& tar, const std::string& directory, Damages& damages) {
  absl::StatusOr<TreeDifferences> differences = CompareTree(tar, directory);
  if (!differences.ok()) {
    if (!IsDamage(differences.status())) {
      return differences.status();
    }
    damages.Add(Message(differences.status()));
    return absl::OkStatus();
  }
  for (const std::string& text : differences->list) {
    damages.Add(text);
  }
  damages.AddMore(differences->count - differences->list.size());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LayerVerdict> VerifyLayer(Context& ctx, const std::string& directory,
                                         const LayerRecord& layer) {
  LayerVerdict verdict;
  if ((layer.flags & kHasRecipe) == 0) {
    return verdict;
  }
  Damages damages;
  auto reader =
      RecipeReader::Open(directory, [&damages](const std::string& path, const std::string& what) {
        damages.Add("'" + Printable(path) + "' " + what);
        return absl::OkStatus();
      });
  if (!reader.ok()) {
    if (!IsDamage(reader.status())) {
      return reader.status();
    }
    verdict.damage = Message(reader.status());
    return verdict;
  }
  HashedTar tar(ctx, **reader);
  RETURN_IF_ERROR(CompareAll(tar, directory, damages));
  verdict.by_content = true;
  verdict.bytes = (*reader)->tar_size();
  if (const Digest digest = tar.Finish(); damages.none() && digest != layer.info.diff_id) {
    damages.Add("its files and its recipe make a tar with the digest " + digest.text());
  }
  verdict.damage = damages.Text();
  return verdict;
}

}  // namespace davit::storage
