// SPDX-License-Identifier: Apache-2.0
#include "server/oci/ended_state.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "base/test_util.h"
#include "server/oci/test_container.h"

namespace davit::server::oci {
namespace {

using namespace std::chrono_literals;

class EndedState : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNoContainers(GetParam()); !why.empty()) {
      GTEST_SKIP() << why;
    }
    made_.emplace(GetParam());
    runtime_.emplace(GetParam(), made_->options().runtime_path, made_->options().runtime_root);
    Context ctx(10s);
    ASSERT_OK(runtime_->Probe(ctx));
  }

  // A container that has ended.
  void RunToItsEnd() {
    Context ctx(30s);
    const auto handle = made_->StartShell(ctx, "exit 0");
    ASSERT_OK(handle.status());
    ASSERT_OK(made_->AwaitExit(ctx, *handle).status());
    ended_ = {.id = made_->id(),
              .pid = handle->container_pid,
              .start_time = handle->container_start_time};
    directory_ = StateDirectory(*runtime_, ended_.id);
  }

  [[nodiscard]] bool IsCrun() const { return runtime_->program() == "crun"; }

  // The document that holds the configuration, changed as the configuration of a container.
  void EditConfig(const std::function<void(nlohmann::json&)>& edit) const {
    const std::string path = JoinPath(directory_, IsCrun() ? "config.json" : "state.json");
    auto document = ParseJson(*ReadFile(path), path);
    ASSERT_OK(document.status());
    edit(IsCrun() ? *document : (*document)["config"]);
    ASSERT_OK(WriteFileAtomic(path, document->dump()));
  }

  void ExpectLeftToTheRuntime(const std::string& why) {
    const absl::Status status = CheckRemovable(*runtime_, ended_);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << why << ": " << status;
    EXPECT_NE(Message(status).find(why), std::string::npos) << status;
  }

  std::optional<TestContainer> made_;
  std::optional<Runtime> runtime_;
  EndedContainer ended_;
  std::string directory_;
};

TEST_P(EndedState, IsOnlyADirectoryOnceTheCgroupIsGone) {
  ASSERT_NO_FATAL_FAILURE(RunToItsEnd());
  EXPECT_TRUE(MayKnow(*runtime_, ended_.id));
  EXPECT_OK(CheckRemovable(*runtime_, ended_));
  ASSERT_OK(RemoveTree(directory_));
  EXPECT_FALSE(MayKnow(*runtime_, ended_.id));
  EXPECT_OK(CheckRemovable(*runtime_, ended_));
  ASSERT_OK(MakeDirs(directory_));
  EXPECT_OK(CheckRemovable(*runtime_, ended_));
}

TEST_P(EndedState, OfARunningContainerIsLeftToTheRuntime) {
  Context ctx(30s);
  const auto handle = made_->StartShell(ctx, "exec sleep 100000");
  ASSERT_OK(handle.status());
  ended_ = {
      .id = made_->id(), .pid = handle->container_pid, .start_time = handle->container_start_time};
  ExpectLeftToTheRuntime("is still there");
}

TEST_P(EndedState, WithPoststopHooksIsLeftToTheRuntime) {
  ASSERT_NO_FATAL_FAILURE(RunToItsEnd());
  const char* const key = IsCrun() ? "hooks" : "Hooks";
  EditConfig([&](auto& config) { config[key]["prestart"] = {{{"path", "/bin/true"}}}; });
  EXPECT_OK(CheckRemovable(*runtime_, ended_));
  EditConfig([&](auto& config) { config[key]["poststop"] = {{{"path", "/bin/true"}}}; });
  ExpectLeftToTheRuntime("poststop");
}

TEST_P(EndedState, WithAClassOfIntelRdtIsLeftToTheRuntime) {
  ASSERT_NO_FATAL_FAILURE(RunToItsEnd());
  EditConfig([&](auto& config) {
    (IsCrun() ? config["linux"]["intelRdt"] : config["intel_rdt"]) = {{"closID", "gold"}};
  });
  ExpectLeftToTheRuntime("RDT");
}

TEST_P(EndedState, InAnotherFormIsLeftToTheRuntime) {
  ASSERT_NO_FATAL_FAILURE(RunToItsEnd());
  ended_.start_time += 1;
  ExpectLeftToTheRuntime("not of");
  ended_.start_time -= 1;
  ASSERT_OK(WriteFileAtomic(directory_ + "/more", ""));
  ExpectLeftToTheRuntime("more");
  ASSERT_OK(RemoveFile(directory_ + "/more"));
  const std::string file = directory_ + (IsCrun() ? "/config.json" : "/state.json");
  const std::string saved = *ReadFile(file);
  for (const char* const broken : {"", "{", "[]", "{}"}) {
    ASSERT_OK(WriteFileAtomic(file, broken));
    EXPECT_FALSE(CheckRemovable(*runtime_, ended_).ok()) << broken;
  }
  ASSERT_OK(RemoveFile(file));
  EXPECT_FALSE(CheckRemovable(*runtime_, ended_).ok() && IsCrun());
  ASSERT_OK(WriteFileAtomic(file, saved));
  EXPECT_OK(CheckRemovable(*runtime_, ended_));
}

TEST_P(EndedState, OfAnotherRuntimeIsLeftToIt) {
  ASSERT_NO_FATAL_FAILURE(RunToItsEnd());
  runtime_.emplace(GetParam(), made_->options().runtime_path, made_->options().runtime_root);
  ExpectLeftToTheRuntime("unknown");
  EXPECT_TRUE(MayKnow(*runtime_, "nothing"));
}

INSTANTIATE_TEST_SUITE_P(Of, EndedState, testing::Values("crun", "runc"),
                         [](const auto& runtime) { return std::string(runtime.param); });

}  // namespace
}  // namespace davit::server::oci
