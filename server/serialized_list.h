// SPDX-License-Identifier: Apache-2.0
//
// Lists as bytes: each object keeps its entry serialized, and the store the whole list, until
// something changes. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "server/store.h"

namespace davit::server {

// The response that lists those that match. `entry` makes a response of that object alone:
// responses one after the other are the response of all, as the wire format of repeated fields has
// it. Without a filter it is what the store keeps.
template <typename T, typename Filter>
SharedBytes SerializedList(const Store<T>& store, const Filter& filter,
                           bool (*matches)(const typename T::Record&, const Filter&),
                           std::string (*entry)(const typename T::Record&)) {
  const auto build = [&] {
    std::string response;
    for (const auto& object : store.List()) {
      const auto [record, bytes] = object->WithEntry(entry);
      if (matches(*record, filter)) {
        response += *bytes;
      }
    }
    return response;
  };
  if (filter.ByteSizeLong() > 0) {
    return std::make_shared<const std::string>(build());
  }
  return store.Whole(build);
}

}  // namespace davit::server
