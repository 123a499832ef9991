// SPDX-License-Identifier: Apache-2.0
//
// What mounting and checks have to know about a layer; kept in its record.
#pragma once

#include <cstdint>

namespace davit::storage {

enum LayerFlags : uint32_t {
  kHasWhiteouts = 1,  // not presentable without overlay
  kOpaqueRoot = 2,    // hides all layers below it
  kHasRootEntry = 4,  // the tar gave owner and mode of "/"
  kHasImplied = 8,    // has directories without an entry of their own: storage/implied_dirs.h
  kHasRecipe = 16,    // the tar can be made again (storage/recipe/recipe_format.h)
  kDamaged = 32,      // a check found it so: to be fetched again
  kElsewhere = 64,    // in an additional store (storage/additional_stores.h)
};

}  // namespace davit::storage
