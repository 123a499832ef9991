// SPDX-License-Identifier: Apache-2.0
#include "server/cli/stream/detach_keys.h"

#include "base/status.h"
#include "base/text.h"

namespace davit::server::cli {
namespace {

constexpr std::string_view kControl = "ctrl-";
constexpr unsigned kControlMask = 0x1f;

}  // namespace

absl::StatusOr<DetachKeys> DetachKeys::Parse(const std::string& text) {
  DetachKeys keys;
  if (text.empty()) {
    return keys;
  }
  for (const std::string& name : Split(text, ',')) {
    if (name.size() == 1) {
      keys.keys_ += name;
      continue;
    }
    const char key = name.size() == kControl.size() + 1 ? name.back() : '\0';
    const bool known = (key >= 'a' && key <= 'z') || (key >= 'A' && key <= 'Z') || key == '@' ||
                       (key >= '[' && key <= '_');
    if (!name.starts_with(kControl) || !known) {
      return InvalidArgument(
          "--detach-keys: \"{}\" is no key; write ctrl-LETTER or one character, with commas "
          "between",
          name);
    }
    keys.keys_ += static_cast<char>(static_cast<unsigned char>(key) & kControlMask);
  }
  return keys;
}

DetachKeys::Typed DetachKeys::Add(std::string_view bytes) {
  Typed typed;
  for (const char byte : bytes) {
    // The longest beginning of the keys that the input ends with.
    std::string pending = keys_.substr(0, matched_) + byte;
    while (!pending.empty() && !keys_.starts_with(pending)) {
      typed.bytes += pending.front();
      pending.erase(0, 1);
    }
    matched_ = pending.size();
    if (!keys_.empty() && matched_ == keys_.size()) {
      typed.detach = true;
      return typed;
    }
  }
  return typed;
}

}  // namespace davit::server::cli
