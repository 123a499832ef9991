// SPDX-License-Identifier: Apache-2.0
#include "server/state/state_db.h"

#include <stdlib.h>

#include <string>

#include <gtest/gtest.h>

#include "base/db.h"
#include "base/file.h"
#include "base/id.h"

namespace davit::server {
namespace {

using davit::state::v1::CONTAINER_EXITED;
using davit::state::v1::CONTAINER_RUNNING;
using davit::state::v1::SANDBOX_READY;
using davit::state::v1::SANDBOX_STOPPED;

class StateDbTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/davit-state-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    dir_ = pattern;
    Reopen();
  }
  void TearDown() override {
    state_.reset();
    db_.reset();
    EXPECT_TRUE(RemoveTree(dir_).ok());
  }
  void Reopen() {
    state_.reset();
    db_.reset();
    auto db = Db::Open(dir_ + "/davit.db");
    ASSERT_TRUE(db.ok()) << db.status();
    db_ = *std::move(db);
    auto state = StateDb::Open(*db_);
    ASSERT_TRUE(state.ok()) << state.status();
    state_ = *std::move(state);
  }

  std::string dir_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<StateDb> state_;
};

TEST_F(StateDbTest, RecordsSurviveReopening) {
  StateDb::SandboxRecord sandbox;
  sandbox.set_id(NewId());
  sandbox.set_name("web_default_u1_0");
  sandbox.set_state(SANDBOX_READY);
  sandbox.set_cni_result("{\"ips\":[]}");
  sandbox.add_ips("10.1.2.3");
  (*sandbox.mutable_config()->mutable_labels())["app"] = "web";
  StateDb::ContainerRecord container;
  container.set_id(NewId());
  container.set_sandbox_id(sandbox.id());
  container.set_state(CONTAINER_RUNNING);
  container.set_pid(42);
  // Bytes that are no text stay what they are.
  container.mutable_config()->add_envs()->set_value(std::string("a\0\xff", 3));
  ASSERT_TRUE(state_->Save(sandbox).ok());
  ASSERT_TRUE(state_->Save(container).ok());
  Reopen();
  const auto all = state_->LoadAll();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->sandboxes.size(), 1U);
  ASSERT_EQ(all->containers.size(), 1U);
  EXPECT_EQ(all->sandboxes[0].SerializeAsString(), sandbox.SerializeAsString());
  EXPECT_EQ(all->containers[0].SerializeAsString(), container.SerializeAsString());
  EXPECT_TRUE(all->damaged.empty());
}

TEST_F(StateDbTest, SaveReplacesAndDeleteIsIdempotent) {
  StateDb::SandboxRecord sandbox;
  sandbox.set_id("a1");
  ASSERT_TRUE(state_->Save(sandbox).ok());
  sandbox.set_state(SANDBOX_STOPPED);
  ASSERT_TRUE(state_->Save(sandbox).ok());
  StateDb::ContainerRecord container;
  container.set_id("a1");
  container.set_state(CONTAINER_EXITED);
  ASSERT_TRUE(state_->Save(container).ok());
  auto all = state_->LoadAll();
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->sandboxes.size(), 1U);
  EXPECT_EQ(all->sandboxes[0].state(), SANDBOX_STOPPED);
  EXPECT_TRUE(state_->DeleteSandbox("a1").ok());
  EXPECT_TRUE(state_->DeleteSandbox("a1").ok());
  all = state_->LoadAll();
  ASSERT_TRUE(all.ok());
  EXPECT_TRUE(all->sandboxes.empty());
  EXPECT_EQ(all->containers.size(), 1U);  // the other table keeps its row of the same ID
  EXPECT_TRUE(state_->DeleteContainer("a1").ok());
  EXPECT_TRUE(state_->DeleteContainer("unknown").ok());
}

TEST_F(StateDbTest, DamagedRowIsNamedAndTheRestLoads) {
  StateDb::ContainerRecord container;
  container.set_id("good");
  ASSERT_TRUE(state_->Save(container).ok());
  ASSERT_TRUE(db_->Write(Db::Sync::kNormal,
                         [](Transaction& tx) {
                           return tx.Exec(
                               "INSERT INTO containers (id, name, state, record) VALUES "
                               "('bad', 'n', 3, x'ffff00')");
                         })
                  .ok());
  const auto all = state_->LoadAll();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->containers.size(), 1U);
  ASSERT_EQ(all->damaged.size(), 1U);
  EXPECT_EQ(all->damaged[0], "container bad");
}

}  // namespace
}  // namespace davit::server
