// SPDX-License-Identifier: Apache-2.0
#include "network/config_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "network/default_network.h"

namespace davit::network {
namespace {

constexpr size_t kMaxConfigBytes = 1U << 20U;
// A file written twice within one tick of the file system's clock keeps its stamp: what is younger
// than this is read again at the next look.
constexpr int64_t kSettleNanos = 100'000'000;

bool IsConfigName(const std::string& name) {
  return !name.starts_with('.') &&
         (name.ends_with(".conflist") || name.ends_with(".conf") || name.ends_with(".json"));
}

int64_t Nanos(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

absl::StatusOr<NetworkPtr> LoadFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxConfigBytes);
  if (!text.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition, text.status());
  }
  absl::StatusOr<NetworkConfig> network = ParseNetworkConfig(*text, path);
  if (!network.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition, network.status());
  }
  return std::make_shared<const NetworkConfig>(std::move(*network));
}

}  // namespace

std::optional<ConfigSource::Stamp> ConfigSource::StampOf(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  if (S_ISDIR(status.st_mode)) {
    // Size and link count follow the names, which the times show as well.
    status.st_size = -1;
  }
  return Stamp{path, status.st_ino, status.st_size, Nanos(status.st_mtim), Nanos(status.st_ctim)};
}

bool ConfigSource::IsFresh(const Loaded& loaded) {
  return loaded.settled &&
         std::all_of(loaded.stamps.begin(), loaded.stamps.end(),
                     [](const Stamp& stamp) { return StampOf(stamp.path) == stamp; });
}

std::vector<ConfigSource::Stamp> ConfigSource::Scan() const {
  std::vector<Stamp> stamps;
  if (std::optional<Stamp> dir = StampOf(config_.config_dir)) {
    stamps.push_back(std::move(*dir));
  }
  const absl::StatusOr<std::vector<std::string>> names = ListDir(config_.config_dir);
  if (!names.ok()) {
    return stamps;
  }
  for (const std::string& name : *names) {
    if (!IsConfigName(name)) {
      continue;
    }
    std::optional<Stamp> stamp = StampOf(JoinPath(config_.config_dir, name));
    if (stamp && stamp->size >= 0) {
      stamps.push_back(std::move(*stamp));
    }
  }
  return stamps;
}

absl::StatusOr<NetworkPtr> ConfigSource::ChooseByName(const std::vector<Stamp>& files) const {
  std::string broken;
  for (const Stamp& file : files) {
    absl::StatusOr<NetworkPtr> network = LoadFile(file.path);
    if (network.ok() && (*network)->name == config_.default_network) {
      return network;
    }
    if (!network.ok()) {
      broken += "; " + Message(network.status());
    }
  }
  if (config_.default_bridge && config_.default_network == config_.default_bridge_name) {
    ASSIGN_OR_RETURN(NetworkConfig network, DefaultBridgeNetwork(config_));
    return std::make_shared<const NetworkConfig>(std::move(network));
  }
  const std::string message =
      fmt::format("no file in {} configures the network \"{}\" (network.default_network){}",
                  config_.config_dir, config_.default_network, broken);
  return broken.empty() ? Unavailable("{}", message) : FailedPrecondition("{}", message);
}

absl::StatusOr<NetworkPtr> ConfigSource::Choose(const std::vector<Stamp>& stamps) const {
  std::vector<Stamp> files;
  std::copy_if(stamps.begin(), stamps.end(), std::back_inserter(files),
               [](const Stamp& stamp) { return stamp.size >= 0; });
  if (!config_.default_network.empty()) {
    return ChooseByName(files);
  }
  if (!files.empty()) {
    return LoadFile(files.front().path);
  }
  if (config_.default_bridge) {
    ASSIGN_OR_RETURN(NetworkConfig network, DefaultBridgeNetwork(config_));
    return std::make_shared<const NetworkConfig>(std::move(network));
  }
  return Unavailable(
      "no network is configured: {} has no .conflist, .conf or .json file, put one there or set "
      "network.default_bridge",
      config_.config_dir);
}

absl::StatusOr<NetworkPtr> ConfigSource::Current() {
  const absl::MutexLock lock(&mutex_);
  if (loaded_ && IsFresh(*loaded_)) {
    return loaded_->network;
  }
  // Stamped before the files are read: a change in between is seen at the next look.
  const int64_t now = NowNanos();
  std::vector<Stamp> stamps = Scan();
  absl::StatusOr<NetworkPtr> network = Choose(stamps);
  // Without the directory there is nothing to compare with.
  const bool settled =
      !stamps.empty() && std::all_of(stamps.begin(), stamps.end(), [&](auto& stamp) {
        return stamp.changed_ns + kSettleNanos < now;
      });
  loaded_.emplace(Loaded{std::move(stamps), settled, network});
  return network;
}

}  // namespace davit::network
