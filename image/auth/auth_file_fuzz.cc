// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <string_view>

#include "image/auth/auth_file.h"
#include "image/auth/helper.h"
#include "image/auth/login.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto file = davit::image::ParseAuthFile(text, "auth.json");
  if (file.ok()) {
    for (const char* name : {"docker.io/library/busybox", "a.example:5000/b/c", ""}) {
      static_cast<void>(davit::image::LoginOf(file->Find(name)));
      static_cast<void>(file->HelperFor(name));
    }
  }
  static_cast<void>(davit::image::ParseHelperAnswer(std::string(text)));
  return 0;
}
