// SPDX-License-Identifier: Apache-2.0
#include "image/reference.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

constexpr size_t kMaxRepository = 255;
constexpr size_t kMaxTag = 128;
constexpr size_t kMaxText = 1024;
constexpr std::string_view kDockerDomain = "docker.io";

bool IsLowerAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool IsAlnum(char c) {
  return IsLowerAlnum(c) || (c >= 'A' && c <= 'Z');
}

bool IsPort(std::string_view text) {
  const auto port = ParseUint(text);
  return !text.empty() && text.size() <= 5 && port && *port <= 65535;
}

bool IsDomainLabel(std::string_view label) {
  return !label.empty() && IsAlnum(label.front()) && IsAlnum(label.back()) &&
         std::all_of(label.begin(), label.end(), [](char c) { return IsAlnum(c) || c == '-'; });
}

bool IsIpv6Literal(std::string_view text) {
  return text.size() >= 2 && std::all_of(text.begin(), text.end(), [](char c) {
           return c == ':' || c == '.' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
                  (c >= 'A' && c <= 'F');
         });
}

// Runs of lower-case letters and digits, between them one '.', one or two '_', or any number of
// '-'.
bool IsPathComponent(std::string_view text) {
  if (text.empty() || !IsLowerAlnum(text.front()) || !IsLowerAlnum(text.back())) {
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    if (IsLowerAlnum(text[i])) {
      ++i;
      continue;
    }
    const size_t end =
        std::find_if(text.begin() + static_cast<ptrdiff_t>(i), text.end(), IsLowerAlnum) -
        text.begin();
    const std::string_view separator = text.substr(i, end - i);
    const bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
    if (separator != "." && separator != "_" && separator != "__" && !dashes) {
      return false;
    }
    i = end;
  }
  return true;
}

bool IsTag(std::string_view tag) {
  const auto word = [](char c) { return IsAlnum(c) || c == '_'; };
  return !tag.empty() && tag.size() <= kMaxTag && word(tag.front()) &&
         std::all_of(tag.begin(), tag.end(),
                     [&word](char c) { return word(c) || c == '.' || c == '-'; });
}

absl::Status Bad(const std::string& text, const std::string& why) {
  return InvalidArgument("image reference '{}': {}", Printable(text, 300), why);
}

// The first component is a domain if it could not be a path component of a well-known short name.
bool LooksLikeDomain(std::string_view component) {
  return component.find_first_of(".:[") != std::string_view::npos || component == "localhost" ||
         Lower(component) != component;
}

std::string PathProblem(const std::string& path) {
  if (path.empty()) {
    return "it names no repository";
  }
  for (const std::string& component : Split(path, '/')) {
    if (component.empty()) {
      return "the repository has an empty component";
    }
    if (Lower(component) != component) {
      return "the repository must be lower case";
    }
    if (!IsPathComponent(component)) {
      return "'" + Printable(component, 100) + "' is not a valid repository component";
    }
  }
  return "";
}

}  // namespace

bool IsDomain(std::string_view domain) {
  if (domain.starts_with('[')) {
    const size_t close = domain.find(']');
    if (close == std::string_view::npos || !IsIpv6Literal(domain.substr(1, close - 1))) {
      return false;
    }
    const std::string_view rest = domain.substr(close + 1);
    return rest.empty() || (rest.front() == ':' && IsPort(rest.substr(1)));
  }
  const size_t colon = domain.find(':');
  if (colon != std::string_view::npos && !IsPort(domain.substr(colon + 1))) {
    return false;
  }
  const std::vector<std::string> labels = Split(domain.substr(0, colon), '.');
  return std::all_of(labels.begin(), labels.end(), [](const auto& l) { return IsDomainLabel(l); });
}

bool IsShortName(std::string_view text) {
  const size_t slash = text.find('/');
  return slash == std::string_view::npos || !LooksLikeDomain(text.substr(0, slash));
}

absl::StatusOr<Reference> Reference::Parse(const std::string& text,
                                           const std::string& default_domain) {
  if (text.empty()) {
    return InvalidArgument("image reference is empty");
  }
  if (text.size() > kMaxText) {
    return Bad(text, "it is too long");
  }
  Reference reference;
  std::string_view rest = text;
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    auto digest = Digest::Parse(rest.substr(at + 1));
    if (!digest.ok()) {
      return Bad(text, Message(digest.status()));
    }
    reference.digest = *std::move(digest);
    rest = rest.substr(0, at);
  }
  if (const size_t colon = rest.rfind(':'); colon != std::string_view::npos &&
                                            rest.find('/', colon) == std::string_view::npos &&
                                            rest.find(']', colon) == std::string_view::npos) {
    reference.tag = rest.substr(colon + 1);
    if (!IsTag(reference.tag)) {
      return Bad(text, "the tag is not of letters, digits, '_', '.' and '-' (at most 128)");
    }
    rest = rest.substr(0, colon);
  }
  const size_t slash = rest.find('/');
  if (slash != std::string_view::npos && LooksLikeDomain(rest.substr(0, slash))) {
    reference.domain = rest.substr(0, slash);
    reference.path = rest.substr(slash + 1);
  } else {
    reference.domain = default_domain;
    reference.path = rest;
    if (text.size() == kIdLength && IsLowerHex(text)) {
      return Bad(text, "64 hex digits are an image ID, not a name");
    }
  }
  if (reference.domain == "index.docker.io") {
    reference.domain = kDockerDomain;
  }
  if (!IsDomain(reference.domain)) {
    return Bad(text, "'" + Printable(reference.domain, 100) + "' is not a valid registry host");
  }
  if (const std::string problem = PathProblem(reference.path); !problem.empty()) {
    return Bad(text, problem);
  }
  if (reference.domain == kDockerDomain && reference.path.find('/') == std::string::npos) {
    reference.path = "library/" + reference.path;
  }
  if (reference.repository().size() > kMaxRepository) {
    return Bad(text, "the repository is longer than 255 characters");
  }
  if (reference.tag.empty() && reference.digest.empty()) {
    reference.tag = "latest";
  }
  return reference;
}

std::string Reference::repository() const {
  return domain + "/" + path;
}

std::string Reference::canonical() const {
  return digest.empty() ? repository() + ":" + tag : repository() + "@" + digest.text();
}

std::string Reference::manifest_reference() const {
  return digest.empty() ? tag : digest.text();
}

}  // namespace davit::image
