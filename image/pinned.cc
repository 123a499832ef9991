// SPDX-License-Identifier: Apache-2.0
#include "image/pinned.h"

#include <fnmatch.h>

#include <string_view>

namespace davit::image {
namespace {

bool Matches(const std::string& pattern, const std::string& name) {
  const bool glob = pattern.find_first_of("*?[") != std::string::npos;
  return glob ? fnmatch(pattern.c_str(), name.c_str(), FNM_CASEFOLD) == 0 : pattern == name;
}

// The name, without tag and digest, and both without what stands for Docker's registry.
std::vector<std::string> Forms(const std::string& name) {
  std::vector<std::string> forms = {name};
  std::string bare = name.substr(0, name.find('@'));
  if (const size_t colon = bare.rfind(':');
      colon != std::string::npos && bare.find('/', colon) == std::string::npos) {
    bare.resize(colon);
  }
  forms.push_back(bare);
  for (const std::string_view prefix : {"docker.io/library/", "docker.io/"}) {
    if (name.starts_with(prefix)) {
      forms.push_back(name.substr(prefix.size()));
      forms.push_back(bare.substr(prefix.size()));
    }
  }
  return forms;
}

}  // namespace

bool IsPinned(const storage::ImageRecord& image, const std::vector<std::string>& patterns) {
  for (const auto* names : {&image.tags, &image.digests}) {
    for (const std::string& name : *names) {
      for (const std::string& form : Forms(name)) {
        for (const std::string& pattern : patterns) {
          if (Matches(pattern, form)) {
            return true;
          }
        }
      }
    }
  }
  return false;
}

}  // namespace davit::image
