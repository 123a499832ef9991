// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/range.h"

#include <sys/socket.h>

#include <algorithm>

namespace davit::network::builtin {
namespace {

std::optional<Ip> Given(const std::string& text, const Ip& otherwise) {
  return text.empty() ? otherwise : ParseIp(text);
}

Ip LastToGive(const Prefix& subnet) {
  Ip ip = LastOf(subnet);
  if (ip.family == AF_INET) {
    --ip.bytes[3];  // the broadcast address; no borrow, as its last bit is set
  }
  return ip;
}

bool Overlap(const Range& a, const Range& b) {
  return a.Has(b.first) || b.Has(a.first);
}

}  // namespace

std::optional<Range> MakeRange(const std::string& subnet, const std::string& first,
                               const std::string& last, const std::string& gateway) {
  const std::optional<Prefix> prefix = ParsePrefix(subnet);
  if (!prefix || FirstOf(*prefix) != prefix->ip || prefix->length > prefix->ip.bits() - 2) {
    return std::nullopt;
  }
  const Ip lowest = Next(prefix->ip);
  const std::optional<Ip> begin = Given(first, lowest);
  const std::optional<Ip> end = Given(last, LastToGive(*prefix));
  const std::optional<Ip> router = Given(gateway, lowest);
  for (const std::optional<Ip>& each : {begin, end, router}) {
    if (!each || !Contains(*prefix, *each)) {
      return std::nullopt;
    }
  }
  if (*end < *begin) {
    return std::nullopt;
  }
  return Range{*prefix, *begin, *end, *router};
}

bool AreDisjoint(const std::vector<RangeSet>& sets) {
  std::vector<const Range*> seen;
  for (const RangeSet& set : sets) {
    for (const Range& range : set) {
      if (range.first.family != set.front().first.family ||
          std::any_of(seen.begin(), seen.end(),
                      [&](const Range* other) { return Overlap(range, *other); })) {
        return false;
      }
      seen.push_back(&range);
    }
  }
  return true;
}

std::string ToText(const RangeSet& set) {
  std::string result;
  for (const Range& range : set) {
    result += (result.empty() ? "" : ",") + ToText(range.first) + "-" + ToText(range.last);
  }
  return result;
}

Candidates::Candidates(const RangeSet& set, const std::optional<Ip>& last) : set_(set) {
  for (size_t i = 0; last && i < set.size(); ++i) {
    if (set[i].Has(*last)) {
      index_ = i;
      current_ = last;
      return;
    }
  }
}

void Candidates::Advance() {
  if (current_ && *current_ != set_[index_].last) {
    current_ = builtin::Next(*current_);
    return;
  }
  if (current_) {
    index_ = (index_ + 1) % set_.size();
  }
  current_ = set_[index_].first;
}

std::optional<Ip> Candidates::Next(const Range** range) {
  while (true) {
    Advance();
    if (current_ == begin_) {
      return std::nullopt;
    }
    if (!begin_) {
      begin_ = current_;
    }
    *range = &set_[index_];
    if (*current_ != (*range)->gateway) {
      return current_;
    }
  }
}

}  // namespace davit::network::builtin
