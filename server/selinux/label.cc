// SPDX-License-Identifier: Apache-2.0
#include "server/selinux/label.h"

#include <algorithm>
#include <cctype>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::selinux {

bool IsLabelPart(const std::string& text, bool is_level) {
  const std::string more = is_level ? "_.-:," : "_.-";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&more](unsigned char c) {
    return std::isalnum(c) != 0 || more.find(static_cast<char>(c)) != std::string::npos;
  });
}

absl::StatusOr<Label> ParseLabel(const std::string& text) {
  Label label;
  size_t begin = 0;
  for (std::string* part : {&label.user, &label.role, &label.type}) {
    const size_t end = std::min(text.find(':', begin), text.size());
    *part = text.substr(begin, end - begin);
    begin = std::min(end + 1, text.size());
    if (!IsLabelPart(*part, /*is_level=*/false)) {
      return InvalidArgument("\"{}\" is not a SELinux label", Printable(text));
    }
  }
  label.level = text.substr(begin);
  if (!label.level.empty() && !IsLabelPart(label.level, /*is_level=*/true)) {
    return InvalidArgument("\"{}\" is not a SELinux label", Printable(text));
  }
  return label;
}

std::string LabelText(const Label& label) {
  const std::string text = label.user + ":" + label.role + ":" + label.type;
  return label.level.empty() ? text : text + ":" + label.level;
}

}  // namespace davit::server::selinux
