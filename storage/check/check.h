// SPDX-License-Identifier: Apache-2.0
//
// Does the disk hold what the database says, and the database what the disk holds?
//
// Quick: every record has its directories, every directory its record. Full: every layer besides
// makes its tar again, whose digest must be the diff ID, and every entry of that tar is compared
// with what is in diff/ (type, owner, mode, time, attributes, link target), and nothing else is
// there. A layer without a recipe (applied with storage.recipes off, or before there were any) has
// its size and number of files compared only.
//
// Repair never removes what is good: a damaged layer is marked, so that the next pull of an image
// that holds it fetches that layer again; containers that run go on with what they have.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/digest.h"

namespace davit::storage {

struct CheckOptions {
  bool full = false;
  bool repair = false;
};

struct CheckFinding {
  std::string object;  // "layer sha256:…", "container …"
  std::string text;    // what is wrong with it
  std::string remedy;  // what to do, or what repair has done
  bool repaired = false;
  std::optional<Digest> damaged_layer;
};

struct CheckReport {
  uint64_t layers = 0;
  uint64_t layers_by_content = 0;  // of those
  uint64_t bytes = 0;              // of tars that were made again
  uint64_t images = 0;
  uint64_t containers = 0;
  uint64_t findings = 0;
  uint64_t repaired = 0;
};

class CheckObserver {
 public:
  virtual ~CheckObserver() = default;
  virtual void Found(const CheckFinding& finding) = 0;
  // Before each layer whose content is read.
  virtual void Progress(const CheckReport& /*so_far*/) {}
};

class State;

// Slow when full: for a background thread. Cancelled with the context, between layers and within.
absl::StatusOr<CheckReport> CheckStore(Context& ctx, State& state, const CheckOptions& options,
                                       CheckObserver& observer);

}  // namespace davit::storage
