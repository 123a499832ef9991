// SPDX-License-Identifier: Apache-2.0
#include "storage/check/check.h"

#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "storage/check/verify_layer.h"
#include "storage/damage.h"
#include "storage/state.h"
#include "storage/strays.h"

namespace davit::storage {
namespace {

class Checker {
 public:
  Checker(Context& ctx, State& state, const CheckOptions& options, CheckObserver& observer)
      : ctx_(ctx), state_(state), options_(options), observer_(observer) {}

  absl::StatusOr<CheckReport> Run() {
    RETURN_IF_ERROR(CheckLayers());
    RETURN_IF_ERROR(CheckImages());
    RETURN_IF_ERROR(CheckContainers());
    RETURN_IF_ERROR(CheckStrays());
    return report_;
  }

 private:
  void Found(CheckFinding finding) {
    ++report_.findings;
    report_.repaired += finding.repaired ? 1 : 0;
    observer_.Found(finding);
  }

  absl::Status CheckLayers() {
    const Snapshot snapshot = state_.snapshot();
    for (const auto& [diff_id, layer] : snapshot.layers->by_id) {
      RETURN_IF_ERROR(ctx_.Check());
      ++report_.layers;
      ctx_.SetStage("check layer " + diff_id.text());
      ASSIGN_OR_RETURN(const std::string damage, DamageOf(layer));
      // It may have been removed, or fetched again, while it was looked at.
      const auto now = state_.snapshot().layers;
      const auto still = now->by_id.find(diff_id);
      if (damage.empty() || still == now->by_id.end()) {
        continue;
      }
      RETURN_IF_ERROR(ReportLayer(still->second, damage));
    }
    return absl::OkStatus();
  }

  absl::Status ReportLayer(const LayerRecord& layer, const std::string& damage) {
    const Digest& diff_id = layer.info.diff_id;
    const bool marked = (layer.flags & kDamaged) != 0;
    CheckFinding finding{.object = "layer " + diff_id.text(),
                         .text = damage,
                         .remedy = "check with repair, then pull the images again",
                         .repaired = false,
                         .damaged_layer = diff_id};
    if (!layer.store.empty()) {
      finding.remedy = "repair it there: " + layer.store + " is of storage.additional_stores";
    } else if (options_.repair) {
      if (!marked) {
        RETURN_IF_ERROR(MarkDamaged(state_, diff_id));
      }
      finding.repaired = true;
      finding.remedy = "marked: the next pull of an image that holds it fetches it again";
    } else if (marked) {
      finding.remedy = "it is marked: pull the images that hold it again";
    }
    Found(std::move(finding));
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> DamageOf(const LayerRecord& layer) {
    const std::string directory = DirectoryOf(layer, state_.paths());
    if (!PathExists(DiffOf(layer, state_.paths()))) {
      return "its directory " + directory + " is missing";
    }
    if ((layer.flags & kHasRecipe) != 0 && !PathExists(JoinPath(directory, "recipe"))) {
      return std::string("its recipe is missing");
    }
    if (!options_.full) {
      return (layer.flags & kDamaged) != 0 ? "it was found damaged before" : std::string();
    }
    observer_.Progress(report_);
    ASSIGN_OR_RETURN(const LayerVerdict verdict, VerifyLayer(ctx_, directory, layer));
    report_.layers_by_content += verdict.by_content ? 1 : 0;
    report_.bytes += verdict.bytes;
    return verdict.damage;
  }

  absl::Status CheckImages() {
    const Snapshot snapshot = state_.snapshot();
    for (const auto& [id, image] : snapshot.images->by_id) {
      ++report_.images;
      if (image->artifact_type.empty() && Digest::Sha256Of(image->config_json).hex() != id) {
        Found({.object = "image " + id,
               .text = "its configuration has another digest than its ID",
               .remedy = "remove it by ID and pull it again",
               .repaired = false,
               .damaged_layer = {}});
      }
      for (const Digest& diff_id : image->layers) {
        if (!snapshot.layers->by_id.contains(diff_id)) {
          Found({.object = "image " + id,
                 .text = "there is no record of its layer " + diff_id.text(),
                 .remedy = "pull it again",
                 .repaired = false,
                 .damaged_layer = {}});
        }
      }
    }
    return ctx_.Check();
  }

  absl::Status CheckContainers() {
    const Snapshot snapshot = state_.snapshot();
    for (const auto& [id, row] : *snapshot.rootfs) {
      ++report_.containers;
      const bool whole =
          PathExists(state_.paths().Upper(id)) && PathExists(state_.paths().Work(id));
      const auto now = state_.snapshot();
      if (!whole && now.rootfs->contains(id)) {
        Found({.object = "container " + id,
               .text = "the directory of its root file system is missing",
               .remedy = "remove the container",
               .repaired = false,
               .damaged_layer = {}});
      }
    }
    return ctx_.Check();
  }

  // Directories that no record names.
  absl::Status CheckStrays() {
    std::vector<std::string> strays;
    if (options_.repair) {
      ASSIGN_OR_RETURN(strays, ReapStrays(state_));
    } else {
      absl::MutexLock lock(&state_.changes);
      ASSIGN_OR_RETURN(strays, StrayLayers(state_));
    }
    for (const std::string& directory : strays) {
      Found({.object = directory,
             .text = "no record names this directory",
             .remedy = options_.repair ? "it is being deleted" : "check with repair",
             .repaired = options_.repair,
             .damaged_layer = {}});
    }
    return absl::OkStatus();
  }

  Context& ctx_;
  State& state_;
  const CheckOptions options_;
  CheckObserver& observer_;
  CheckReport report_;
};

}  // namespace

absl::StatusOr<CheckReport> CheckStore(Context& ctx, State& state, const CheckOptions& options,
                                       CheckObserver& observer) {
  return Checker(ctx, state, options, observer).Run();
}

}  // namespace davit::storage
