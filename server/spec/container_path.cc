// SPDX-License-Identifier: Apache-2.0
#include "server/spec/container_path.h"

#include <algorithm>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::spec {
namespace {

bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// Length of the sequence that starts with `lead`, 0 if no sequence starts so.
size_t SequenceLength(unsigned char lead) {
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xc2 && lead <= 0xdf) {
    return 2;
  }
  if (lead >= 0xe0 && lead <= 0xef) {
    return 3;
  }
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

// Overlong forms, surrogates and code points past U+10FFFF show in the second byte.
bool SecondByteFits(unsigned char lead, unsigned char second) {
  switch (lead) {
    case 0xe0:
      return second >= 0xa0;
    case 0xed:
      return second <= 0x9f;
    case 0xf0:
      return second >= 0x90;
    case 0xf4:
      return second <= 0x8f;
    default:
      return true;
  }
}

}  // namespace

absl::StatusOr<std::string> CleanContainerPath(const std::string& path, const std::string& field) {
  if (path.empty() || path.front() != '/') {
    return InvalidArgument("{} \"{}\": must be an absolute path", field, Printable(path));
  }
  if (std::any_of(path.begin(), path.end(), IsControl)) {
    return InvalidArgument("{} \"{}\": holds a control character", field, Printable(path));
  }
  std::string clean;
  for (const std::string& part : Split(path, '/')) {
    if (part == "..") {
      return InvalidArgument("{} \"{}\": must not hold \"..\"", field, Printable(path));
    }
    if (!part.empty() && part != ".") {
      clean += "/" + part;
    }
  }
  return clean.empty() ? "/" : clean;
}

bool IsAtOrBeneath(std::string_view path, std::string_view directory) {
  if (directory == "/" || path == directory) {
    return true;
  }
  return path.size() > directory.size() && path.substr(0, directory.size()) == directory &&
         path[directory.size()] == '/';
}

size_t PathDepth(std::string_view path) {
  return path == "/" ? 0 : static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
}

bool IsUtf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    const size_t length = SequenceLength(lead);
    if (length == 0 || i + length > bytes.size()) {
      return false;
    }
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(bytes[i + k]);
      if ((next & 0xc0U) != 0x80U || (k == 1 && !SecondByteFits(lead, next))) {
        return false;
      }
    }
    i += length;
  }
  return true;
}

}  // namespace davit::server::spec
