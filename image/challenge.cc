// SPDX-License-Identifier: Apache-2.0
#include "image/challenge.h"

#include "base/text.h"

namespace davit::image {
namespace {

constexpr size_t kMaxChallenges = 16;

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  [[nodiscard]] bool done() const { return at_ >= text_.size(); }
  [[nodiscard]] bool At(char c) const { return !done() && text_[at_] == c; }
  void Skip() { ++at_; }

  void SkipSpace(bool commas) {
    while (!done() && (text_[at_] == ' ' || text_[at_] == '\t' || (commas && text_[at_] == ','))) {
      ++at_;
    }
  }

  std::string Token() {
    const size_t start = at_;
    while (!done() && std::string_view(" \t,=\"").find(text_[at_]) == std::string_view::npos) {
      ++at_;
    }
    return std::string(text_.substr(start, at_ - start));
  }

  // A token or a quoted string with backslash escapes.
  std::string Value() {
    if (!At('"')) {
      return Token();
    }
    std::string value;
    for (Skip(); !done() && !At('"'); Skip()) {
      if (At('\\') && at_ + 1 < text_.size()) {
        Skip();
      }
      value += text_[at_];
    }
    Skip();
    return value;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::vector<Challenge> ParseChallenges(std::string_view header) {
  std::vector<Challenge> challenges;
  Scanner scanner(header);
  while (true) {
    scanner.SkipSpace(true);
    if (scanner.done() || challenges.size() >= kMaxChallenges) {
      return challenges;
    }
    const std::string name = Lower(scanner.Token());
    scanner.SkipSpace(false);
    if (scanner.At('=')) {
      // A parameter belongs to the scheme before it; token68 ends in '=' and is of no scheme we
      // know.
      scanner.Skip();
      scanner.SkipSpace(false);
      const std::string value = scanner.Value();
      if (!challenges.empty() && !name.empty()) {
        challenges.back().parameters.emplace(name, value);
      }
    } else if (!name.empty()) {
      challenges.push_back({.scheme = name, .parameters = {}});
    } else {
      scanner.Skip();  // a stray character
    }
  }
}

}  // namespace davit::image
