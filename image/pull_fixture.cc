// SPDX-License-Identifier: Apache-2.0
#include "image/pull_fixture.h"

#include <thread>

#include "base/file.h"

namespace davit::image {

PullFixture::PullFixture() {
  config_.progress_timeout = std::chrono::milliseconds(2000);
  config_.signature_policy = dir_.path() + "/policy.json";
  config_.signature_policy_dir = dir_.path() + "/policies";
  config_.registries_d = dir_.path() + "/registries.d";
  WritePolicy(R"({"default":[{"type":"insecureAcceptAnything"}]})");
  config_.registries_conf = dir_.path() + "/registries.conf";  // not this machine's
  config_.registries_conf_dir = dir_.path() + "/registries.conf.d";
  config_.short_name_aliases = dir_.path() + "/short-name-aliases.conf";
  config_.certs_dirs = {dir_.path() + "/certs.d"};
  config_.hosts_dirs = {dir_.path() + "/hosts.d"};
  config_.namespaced_auth_dir = dir_.path() + "/auth";
  auto db = Db::Open(dir_.path() + "/davit.db");
  EXPECT_TRUE(db.ok()) << db.status();
  db_ = *std::move(db);
  auto storage = storage::Storage::Open({.root = dir_.path() + "/root",
                                         .run = dir_.path() + "/run",
                                         .sync = false,
                                         .mount_options = {}},
                                        *db_);
  EXPECT_TRUE(storage.ok()) << storage.status();
  storage_ = *std::move(storage);
  executor_ = std::make_unique<Executor>(8);
  MakePuller();
}

void PullFixture::MakePuller() {
  puller_.reset();
  auto store = SignatureStore::Open(*db_);
  ASSERT_TRUE(store.ok()) << store.status();
  auto policy = PolicyChecker::Create(config_, dir_.path() + "/scratch", *std::move(store));
  ASSERT_TRUE(policy.ok()) << policy.status();
  policy_ = *std::move(policy);
  auto puller = Puller::Create(config_, *storage_, *policy_, *executor_);
  ASSERT_TRUE(puller.ok()) << puller.status();
  puller_ = *std::move(puller);
}

void PullFixture::WritePolicy(const std::string& json) {
  const absl::Status status = WriteFileAtomic(config_.signature_policy, json);
  EXPECT_TRUE(status.ok()) << status;
}

absl::StatusOr<PullResult> PullFixture::Pull(const std::string& name,
                                             const Credentials& credentials) {
  Context ctx(std::chrono::seconds(30));
  return puller_->Pull(ctx, {.name = name, .credentials = credentials}, nullptr);
}

void PullFixture::ExpectFailure(const absl::StatusOr<PullResult>& result, absl::StatusCode code,
                                const std::vector<std::string>& says) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), code) << result.status();
  const std::string message(result.status().message());
  for (const std::string& part : says) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
  }
  EXPECT_EQ(message.starts_with("RegistryUnavailable"), absl::IsUnavailable(result.status()))
      << message;
}

std::vector<std::string> PullFixture::LayerDirectories() const {
  return ListDir(dir_.path() + "/root/layers").value_or(std::vector<std::string>());
}

void PullFixture::ExpectNothingLeft() {
  EXPECT_TRUE(storage_->ListImages().empty());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!LayerDirectories().empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(LayerDirectories(), std::vector<std::string>());
}

void PullFixture::ExpectGoodPullWorks() {
  registry_.ClearFaults();
  const FakeImage image = MakeImage({Tar({{"good", "yes"}})});
  registry_.Add("other/good", "1", image);
  const auto result = Pull(Name("/other/good:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->image_id, image.id());
  EXPECT_EQ(LayerFile(Digest::Sha256Of(Tar({{"good", "yes"}})), "good"), "yes");
}

std::string PullFixture::LayerFile(const Digest& diff_id, const std::string& path) const {
  return ReadFile(dir_.path() + "/root/layers/" + diff_id.hex() + "/diff/" + path)
      .value_or("unreadable");
}

}  // namespace davit::image
