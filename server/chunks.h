// SPDX-License-Identifier: Apache-2.0
//
// Lists that are sent in pieces (the Stream* calls): a filler adds the next element to a piece,
// made from the object's snapshot at that moment, so that no more than one piece is in memory at a
// time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace davit::server {

// The size in bytes of what was added; 0 at the end.
template <typename Response>
using Filler = std::function<size_t(Response&)>;

// Over objects in order. `add` says 0 for one that is passed over.
template <typename Response, typename Object>
Filler<Response> WalkObjects(std::vector<std::shared_ptr<Object>> objects,
                             std::function<size_t(Response&, const Object&)> add) {
  auto list = std::make_shared<std::vector<std::shared_ptr<Object>>>(std::move(objects));
  return [list, add = std::move(add), next = size_t{0}](Response& piece) mutable -> size_t {
    while (next < list->size()) {
      const std::shared_ptr<Object> object = std::move((*list)[next++]);
      if (const size_t bytes = add(piece, *object); bytes > 0) {
        return bytes;
      }
    }
    return 0;
  };
}

}  // namespace davit::server
