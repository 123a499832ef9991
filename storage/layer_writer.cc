// SPDX-License-Identifier: Apache-2.0
#include "storage/layer_writer.h"

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "storage/recipe/recipe_writer.h"
#include "storage/unpacker.h"

namespace davit::storage {
namespace {

constexpr size_t kTarRecord = 512;

class LayerWriterImpl : public LayerWriter {
 public:
  LayerWriterImpl(std::string directory, std::unique_ptr<Unpacker> unpacker,
                  std::unique_ptr<RecipeWriter> recipe)
      : directory_(std::move(directory)),
        unpacker_(std::move(unpacker)),
        recipe_(std::move(recipe)) {}

  ~LayerWriterImpl() override {
    unpacker_.reset();
    if (!handed_over_) {
      log::IfError(RemoveTree(directory_), "remove unfinished layer");
    }
  }

  absl::Status Write(std::span<const uint8_t> bytes) override {
    if (unpacker_ == nullptr) {
      return FailedPrecondition("the layer is finished");
    }
    hasher_.Update(bytes);
    CountTrailingZeros(bytes);
    if (recipe_) {
      RETURN_IF_ERROR(recipe_->Write(bytes));
    }
    return unpacker_->Push(bytes);
  }

  absl::StatusOr<std::shared_ptr<PendingLayer>> Finish(const Digest& expected_diff_id,
                                                       const Digest& blob) override {
    if (unpacker_ == nullptr) {
      return FailedPrecondition("a layer can be finished once only");
    }
    result_ = unpacker_->Finish();
    unpacker_.reset();
    const Digest diff_id = hasher_.Finish();
    RETURN_IF_ERROR(Check(expected_diff_id, diff_id));
    bool recipe = false;
    if (recipe_) {
      ASSIGN_OR_RETURN(recipe, recipe_->Finish());
    }
    RETURN_IF_ERROR(RemoveTree(JoinPath(directory_, "trash")));
    LayerRecord record;
    record.info = {
        .diff_id = diff_id, .blob = blob, .size = result_->bytes, .files = result_->files};
    record.flags = result_->flags | (recipe ? kHasRecipe : 0U);
    handed_over_ = true;
    return std::make_shared<StagedLayer>(directory_, std::move(record));
  }

 private:
  void CountTrailingZeros(std::span<const uint8_t> bytes) {
    const auto last = std::find_if(bytes.rbegin(), bytes.rend(), [](uint8_t b) { return b != 0; });
    const auto zeros = static_cast<size_t>(last - bytes.rbegin());
    trailing_zeros_ = zeros == bytes.size() ? trailing_zeros_ + zeros : zeros;
  }

  absl::Status Check(const Digest& expected, const Digest& diff_id) const {
    if (!expected.empty() && expected.algorithm() != diff_id.algorithm()) {
      return InvalidArgument("layer has diff ID {}: only {} is supported for diff IDs",
                             expected.text(), diff_id.algorithm());
    }
    // Damage in transit explains a malformed tar better than the parser's words.
    const bool damaged = result_.ok() || result_.status().code() == absl::StatusCode::kDataLoss ||
                         result_.status().code() == absl::StatusCode::kInvalidArgument;
    if (!expected.empty() && expected != diff_id && damaged) {
      return DataLoss("layer has diff ID {}, the image config says {}{}", diff_id.text(),
                      expected.text(), result_.ok() ? "" : "; " + Message(result_.status()));
    }
    RETURN_IF_ERROR(result_.status());
    // Without a diff ID to compare with, the end marker is the only proof that nothing is missing.
    if (expected.empty() && trailing_zeros_ < 2 * kTarRecord) {
      return DataLoss("tar stream ends too early: it has no end marker");
    }
    return absl::OkStatus();
  }

  const std::string directory_;
  std::unique_ptr<Unpacker> unpacker_;  // null when finished
  Hasher hasher_;
  const std::unique_ptr<RecipeWriter> recipe_;  // null: none is wanted
  size_t trailing_zeros_ = 0;
  bool handed_over_ = false;
  absl::StatusOr<ApplyResult> result_ = absl::UnknownError("not applied yet");
};

}  // namespace

StagedLayer::~StagedLayer() {
  if (!taken_) {
    log::IfError(RemoveTree(directory_), "remove layer that no image took");
  }
}

absl::StatusOr<std::unique_ptr<LayerWriter>> NewLayerWriter(const std::string& program,
                                                            const std::string& directory,
                                                            const ApplyLimits& limits,
                                                            bool recipe) {
  RETURN_IF_ERROR(MakeDirs(directory, 0700));
  absl::Cleanup remove = [&directory] {
    log::IfError(RemoveTree(directory), "remove unfinished layer");
  };
  absl::StatusOr<std::unique_ptr<Unpacker>> unpacker = Unpacker::Start(program, directory, limits);
  if (!unpacker.ok()) {
    return Annotate(unpacker.status(), "start " + program + " to apply a layer");
  }
  std::unique_ptr<RecipeWriter> recorder;
  if (recipe) {
    ASSIGN_OR_RETURN(recorder, RecipeWriter::Create(directory));
  }
  std::move(remove).Cancel();
  return std::make_unique<LayerWriterImpl>(directory, *std::move(unpacker), std::move(recorder));
}

}  // namespace davit::storage
