// SPDX-License-Identifier: Apache-2.0
#include "image/signature/gpg_status.h"

#include <map>

#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

constexpr std::string_view kPrefix = "[GNUPG:] ";
// VALIDSIG fpr date timestamp expires version reserved algorithm hash class primary-fpr
constexpr size_t kValidSigWords = 11;
constexpr size_t kValidSigClass = 9;
constexpr size_t kValidSigPrimary = 10;

// Each line's words: the keyword and its arguments.
std::vector<std::vector<std::string>> Lines(std::string_view status) {
  std::vector<std::vector<std::string>> lines;
  for (const std::string& line : Split(status, '\n')) {
    if (line.starts_with(kPrefix)) {
      auto words = Words(std::string_view(line).substr(kPrefix.size()));
      if (!words.empty()) {
        lines.push_back(std::move(words));
      }
    }
  }
  return lines;
}

std::string Argument(const std::vector<std::string>& words, size_t n) {
  return n < words.size() ? Printable(words[n]) : "?";
}

// "" if the line is no reason to refuse.
std::string ReasonOf(const std::vector<std::string>& words) {
  static const std::map<std::string_view, const char*> kReasons = {
      {"BADSIG", "its content was changed after key {} signed it"},
      {"EXPSIG", "the signature of key {} has expired"},
      {"EXPKEYSIG", "key {} has expired"},
      {"REVKEYSIG", "key {} was revoked"},
      {"ERRSIG", "it is by key {}, which is not in the keyring or cannot be used"},
      {"NODATA", "it is no signed message"},
      {"UNEXPECTED", "it is no well-formed signed message"},
      {"DECRYPTION_FAILED", "it is an encrypted message"},
      {"DECRYPTION_INFO", "it is an encrypted message"},
      {"BEGIN_DECRYPTION", "it is an encrypted message"},
  };
  const auto it = kReasons.find(words.front());
  if (it == kReasons.end()) {
    return "";
  }
  return fmt::format(fmt::runtime(it->second), Argument(words, 1));
}

}  // namespace

std::vector<std::string> ImportedKeys(std::string_view status) {
  std::vector<std::string> keys;
  for (const auto& words : Lines(status)) {
    if (words.front() == "IMPORT_OK" && words.size() >= 3) {
      keys.push_back(words[2]);
    }
  }
  return keys;
}

absl::Status CheckGoodSignature(std::string_view status, const std::set<std::string>& keys) {
  int signatures = 0;
  int good = 0;
  std::vector<std::string> valid;
  for (auto& words : Lines(status)) {
    if (const std::string reason = ReasonOf(words); !reason.empty()) {
      return PermissionDenied("{}", reason);
    }
    signatures += words.front() == "NEWSIG" ? 1 : 0;
    good += words.front() == "GOODSIG" ? 1 : 0;
    if (words.front() == "VALIDSIG") {
      if (!valid.empty()) {
        return PermissionDenied("it has more than one signature");
      }
      valid = std::move(words);
    }
  }
  if (signatures != 1 || good != 1 || valid.size() < kValidSigWords) {
    return PermissionDenied("it has {} signatures, {} of them good; exactly one must be there",
                            signatures, good);
  }
  if (valid[kValidSigClass] != "00") {
    return PermissionDenied("its signature is of class {}, not of a binary document",
                            Printable(valid[kValidSigClass]));
  }
  if (!keys.contains(valid[kValidSigPrimary])) {
    return PermissionDenied("it is by key {}, which is not in the keyring",
                            Printable(valid[kValidSigPrimary]));
  }
  return absl::OkStatus();
}

}  // namespace davit::image
