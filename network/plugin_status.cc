// SPDX-License-Identifier: Apache-2.0
#include "network/plugin_status.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "network/result.h"

namespace davit::network {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kAge{5};
constexpr std::chrono::seconds kTimeout{5};
// What plugins say that are older than the verb.
constexpr std::string_view kUnknownCommand = "unknown CNI_COMMAND";

PluginCall CallOf(std::string_view command, const NetworkConfig& network, const std::string& type,
                  std::string_view input) {
  PluginCall call;
  call.command = command;
  call.network = network.name;
  call.type = type;
  call.input = input;
  return call;
}

// A file that was just written is read again, with the same content.
bool Same(const NetworkPtr& one, const NetworkPtr& other) {
  return one == other || (one->file == other->file && one->list_json == other->list_json);
}

}  // namespace

bool PluginStatus::Due(const NetworkPtr& network) const {
  if (!answer_ || !Same(answer_->network, network)) {
    return true;
  }
  return (!answer_->known || network->has_status) && Clock::now() - answer_->time >= kAge;
}

absl::Status PluginStatus::Of(const NetworkPtr& network) {
  bool ask = false;
  {
    absl::MutexLock lock(&mutex_);
    ask = !asking_ && Due(network);
    asking_ = asking_ || ask;
  }
  if (ask && background_ != nullptr) {
    background_->Run([this, network] { Ask(network); });
  } else if (ask) {
    Ask(network);
  }
  absl::MutexLock lock(&mutex_);
  if (!answer_) {
    return network->has_status
               ? FailedPrecondition("network {}: its plugins have not told their status yet",
                                    network->name)
               : absl::OkStatus();
  }
  return answer_->status;
}

void PluginStatus::Ask(const NetworkPtr& network) {
  bool versions_known = false;
  {
    absl::MutexLock lock(&mutex_);
    versions_known = answer_ && Same(answer_->network, network) && answer_->known;
  }
  absl::Status status = versions_known ? absl::OkStatus() : AskVersions(*network);
  versions_known = status.ok();
  if (status.ok() && network->has_status) {
    status = AskStatus(*network);
  }
  absl::MutexLock lock(&mutex_);
  asking_ = false;
  answer_ = Answer{network, Clock::now(), versions_known, std::move(status)};
}

// Only an answer counts: who gives none may still do his work.
absl::Status PluginStatus::AskVersions(const NetworkConfig& network) const {
  const std::string input = "{\"cniVersion\":\"" + network.cni_version + "\"}";
  std::vector<std::string> asked;
  for (const PluginConfig& plugin : network.plugins) {
    for (const std::string& type : {plugin.type, plugin.ipam_type}) {
      if (type.empty() || std::find(asked.begin(), asked.end(), type) != asked.end()) {
        continue;
      }
      asked.push_back(type);
      Context ctx(kTimeout);
      const auto output = runner_.Run(ctx, CallOf("VERSION", network, type, input));
      const std::vector<std::string> versions =
          output.ok() ? SupportedVersions(*output) : std::vector<std::string>();
      if (!versions.empty() &&
          std::find(versions.begin(), versions.end(), network.cni_version) == versions.end()) {
        return FailedPrecondition(
            "{}: plugin {} ({}) does not know CNI {}, which the network asks for, but {}: install "
            "a newer one, or set an older cniVersion",
            network.file, type, runner_.Find(type).value_or(""), network.cni_version,
            Join(versions, ", "));
      }
    }
  }
  return absl::OkStatus();
}

// One after the other, until one is not ready.
absl::Status PluginStatus::AskStatus(const NetworkConfig& network) const {
  for (const PluginConfig& plugin : network.plugins) {
    Context ctx(kTimeout);
    const std::string input = plugin.stdin_head + "}";
    const absl::Status answer =
        runner_.Run(ctx, CallOf("STATUS", network, plugin.type, input)).status();
    if (!answer.ok() && Message(answer).find(kUnknownCommand) == std::string::npos) {
      return WithCode(absl::StatusCode::kFailedPrecondition, answer);
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::network
