// SPDX-License-Identifier: Apache-2.0
//
// Test-only: a puller over the real storage in a directory of its own, and a fake registry.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/db.h"
#include "base/executor.h"
#include "config/config.h"
#include "image/fake_registry.h"
#include "image/policy/checker.h"
#include "image/puller.h"
#include "image/test_util.h"
#include "storage/storage.h"

namespace davit::image {

class PullFixture : public testing::Test {
 protected:
  PullFixture();

  // After a change of `config_`.
  void MakePuller();
  // The signature policy; at the start it accepts everything.
  void WritePolicy(const std::string& json);
  absl::StatusOr<PullResult> Pull(const std::string& name, const Credentials& credentials = {});
  [[nodiscard]] std::string Name(const std::string& rest) const { return registry_.host() + rest; }

  // Fails the test unless the pull fails with this code and says each of these.
  void ExpectFailure(const absl::StatusOr<PullResult>& result, absl::StatusCode code,
                     const std::vector<std::string>& says);
  // No image, no layer, no temporary directory: waits for pulls that are ending.
  void ExpectNothingLeft();
  // A pull of another, sound image works.
  void ExpectGoodPullWorks();
  // The content of a file of a layer.
  [[nodiscard]] std::string LayerFile(const Digest& diff_id, const std::string& path) const;
  [[nodiscard]] std::vector<std::string> LayerDirectories() const;

  TempDir dir_;
  FakeRegistry registry_;
  config::Image config_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<storage::Storage> storage_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<PolicyChecker> policy_;
  std::unique_ptr<Puller> puller_;
};

}  // namespace davit::image
