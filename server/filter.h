// SPDX-License-Identifier: Apache-2.0
//
// What the filters of List requests have in common.
#pragma once

#include <string>

#include <google/protobuf/map.h>

namespace davit::server {

using LabelMap = google::protobuf::Map<std::string, std::string>;

// An empty prefix matches all.
inline bool MatchesId(const std::string& id, const std::string& prefix) {
  return id.compare(0, prefix.size(), prefix) == 0;
}

// Every label of the selector is there with the same value.
inline bool MatchesLabels(const LabelMap& labels, const LabelMap& selector) {
  for (const auto& [key, value] : selector) {
    const auto it = labels.find(key);
    if (it == labels.end() || it->second != value) {
      return false;
    }
  }
  return true;
}

}  // namespace davit::server
