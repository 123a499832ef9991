// SPDX-License-Identifier: Apache-2.0
#include "server/irq_affinity.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxBytes = 1U << 20U;
constexpr mode_t kConfigMode = 0644;
constexpr std::string_view kBannedList = "IRQBALANCE_BANNED_CPULIST=";
constexpr std::string_view kBannedMask = "IRQBALANCE_BANNED_CPUS=";

CpuSet Union(const CpuSet& a, const CpuSet& b) {
  CpuSet result = a;
  result.insert(b.begin(), b.end());
  return result;
}

CpuSet Difference(const CpuSet& a, const CpuSet& b) {
  CpuSet result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(result, result.end()));
  return result;
}

CpuSet Intersection(const CpuSet& a, const CpuSet& b) {
  CpuSet result;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(),
                        std::inserter(result, result.end()));
  return result;
}

// The line that counts: the last, of lists before masks.
struct BannedLine {
  size_t index = 0;
  std::string_view key;
};

std::optional<BannedLine> FindBannedLine(const std::vector<std::string>& lines) {
  for (const std::string_view key : {kBannedList, kBannedMask}) {
    for (size_t i = lines.size(); i > 0; --i) {
      if (Trim(lines[i - 1]).starts_with(key)) {
        return BannedLine{.index = i - 1, .key = key};
      }
    }
  }
  return std::nullopt;
}

std::string_view Unquoted(std::string_view value) {
  const bool quoted = value.size() > 1 && (value.front() == '"' || value.front() == '\'') &&
                      value.back() == value.front();
  return quoted ? value.substr(1, value.size() - 2) : value;
}

}  // namespace

namespace internal {

absl::StatusOr<CpuSet> BannedCpus(const std::string& text) {
  const std::vector<std::string> lines = Split(text, '\n');
  const auto found = FindBannedLine(lines);
  if (!found) {
    return CpuSet();
  }
  const std::string_view value =
      Trim(Unquoted(Trim(Trim(lines[found->index]).substr(found->key.size()))));
  if (value.empty()) {
    return CpuSet();
  }
  auto cpus = found->key == kBannedList ? ParseCpuList(value) : ParseCpuMask(value);
  RETURN_IF_ERROR(Annotate(cpus.status(), std::string(found->key) + std::string(value)));
  return cpus;
}

std::string WithBannedCpus(const std::string& text, const CpuSet& cpus) {
  std::vector<std::string> lines = Split(text, '\n');
  const auto found = FindBannedLine(lines);
  const std::string_view key = found ? found->key : kBannedMask;
  const std::string line =
      std::string(key) + (key == kBannedList ? CpuListText(cpus) : CpuMaskText(cpus));
  if (found && cpus.empty()) {
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(found->index));
  } else if (found) {
    lines[found->index] = line;
  } else if (!cpus.empty()) {
    const bool ends_with_newline = lines.back().empty();
    lines.insert(ends_with_newline ? std::prev(lines.end()) : lines.end(), line);
  }
  return Join(lines, "\n");
}

}  // namespace internal

void IrqAffinity::Claim(const std::string& container, const CpuSet& cpus) {
  absl::MutexLock lock(&mutex_);
  claims_[container] = cpus;
}

absl::Status IrqAffinity::Restore() {
  absl::MutexLock lock(&mutex_);
  restored_ = true;
  RETURN_IF_ERROR(Load());
  const bool idle = claims_.empty() && taken_.of_default.empty() && taken_.of_irqbalance.empty();
  return idle ? absl::OkStatus() : Apply();
}

absl::Status IrqAffinity::Take(const std::string& container, const CpuSet& cpus) {
  absl::MutexLock lock(&mutex_);
  claims_[container] = cpus;
  absl::Status taken = Apply();
  if (!taken.ok()) {
    claims_.erase(container);
    log::IfError(Apply(), "give back CPUs to interrupts");
  }
  return taken;
}

absl::Status IrqAffinity::GiveBack(const std::string& container) {
  absl::MutexLock lock(&mutex_);
  const bool had = claims_.erase(container) != 0;
  return had && restored_ ? Apply() : absl::OkStatus();
}

// The mask of a boot that has ended went with it; irqbalance's file stays.
absl::Status IrqAffinity::Load() {
  if (!PathExists(options_.state)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options_.state, kMaxBytes));
  ASSIGN_OR_RETURN(const Json state, ParseJson(text, options_.state));
  const auto read = [&](const char* key) { return ParseCpuList(JsonString(state, key)); };
  ASSIGN_OR_RETURN(taken_.of_irqbalance, read("irqbalance"));
  if (JsonString(state, "boot_id") == BootId()) {
    ASSIGN_OR_RETURN(taken_.of_default, read("default_smp_affinity"));
  }
  return absl::OkStatus();
}

absl::Status IrqAffinity::Save(const Taken& taken) {
  if (taken.of_default.empty() && taken.of_irqbalance.empty()) {
    RETURN_IF_ERROR(RemoveFile(options_.state));
  } else {
    const Json state = {{"boot_id", BootId()},
                        {"default_smp_affinity", CpuListText(taken.of_default)},
                        {"irqbalance", CpuListText(taken.of_irqbalance)}};
    RETURN_IF_ERROR(WriteFileAtomic(options_.state, DumpJson(state), 0600, Durability::kDurable));
  }
  taken_ = taken;
  return absl::OkStatus();
}

absl::Status IrqAffinity::Apply() {
  CpuSet wanted;
  for (const auto& [container, cpus] : claims_) {
    wanted.insert(cpus.begin(), cpus.end());
  }
  RETURN_IF_ERROR(ApplyDefault(wanted));
  return options_.irqbalance_config.empty() ? absl::OkStatus() : ApplyIrqbalance(wanted);
}

absl::Status IrqAffinity::ApplyDefault(const CpuSet& wanted) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options_.default_mask, kMaxBytes));
  auto mask = ParseCpuMask(text);
  RETURN_IF_ERROR(Annotate(mask.status(), options_.default_mask));
  const CpuSet take = Intersection(wanted, *mask);
  const CpuSet give = Difference(taken_.of_default, wanted);
  const CpuSet next = Union(Difference(*mask, take), give);
  if (next == *mask && give.empty()) {
    return absl::OkStatus();
  }
  if (next.empty()) {
    return FailedPrecondition("CPUs {} without interrupts: no CPU would be left for them in {}",
                              CpuListText(wanted), options_.default_mask);
  }
  Taken taken = taken_;
  taken.of_default = Union(taken.of_default, take);
  RETURN_IF_ERROR(Save(taken));
  RETURN_IF_ERROR(WriteExisting(options_.default_mask, CpuMaskText(next)));
  taken.of_default = Difference(taken.of_default, give);
  return Save(taken);
}

absl::Status IrqAffinity::ApplyIrqbalance(const CpuSet& wanted) {
  const std::string& path = options_.irqbalance_config;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  const auto banned = internal::BannedCpus(text);
  RETURN_IF_ERROR(Annotate(banned.status(), path));
  const CpuSet take = Difference(wanted, *banned);
  const CpuSet give = Difference(taken_.of_irqbalance, wanted);
  if (take.empty() && give.empty()) {
    return absl::OkStatus();
  }
  Taken taken = taken_;
  taken.of_irqbalance = Union(taken.of_irqbalance, take);
  RETURN_IF_ERROR(Save(taken));
  RETURN_IF_ERROR(
      WriteFileAtomic(path, internal::WithBannedCpus(text, Difference(Union(*banned, take), give)),
                      kConfigMode, Durability::kDurable));
  taken.of_irqbalance = Difference(taken.of_irqbalance, give);
  RETURN_IF_ERROR(Save(taken));
  if (options_.restart_irqbalance) {
    log::IfError(options_.restart_irqbalance(), "have irqbalance read " + path + " again");
  }
  return absl::OkStatus();
}

}  // namespace davit::server
