// SPDX-License-Identifier: Apache-2.0
#include "image/registries/registries.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/test_util.h"

namespace davit::image {
namespace {

class RegistriesTest : public testing::Test {
 protected:
  RegistriesTest() {
    config_.registries_conf = dir_ / "etc/registries.conf";
    config_.registries_conf_dir = dir_ / "etc/registries.conf.d";
    config_.short_name_aliases = dir_ / "cache/aliases.conf";
    std::filesystem::create_directory(dir_ / "etc");
    auto loop = EventLoop::Create();
    EXPECT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
  }
  void Start() {
    auto registries = Registries::Create(config_);
    ASSERT_TRUE(registries.ok()) << registries.status();
    registries_ = *std::move(registries);
    ASSERT_OK(registries_->Watch(*loop_));
  }
  static void Write(const std::string& file, const std::string& text) {
    std::ofstream(file) << text;
  }
  bool Has(const std::string& alias) { return registries_->Get()->aliases.count(alias) == 1; }

  test::TempDir dir_;
  config::Image config_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Registries> registries_;
};

TEST_F(RegistriesTest, AChangeIsSeen) {
  Start();
  const RegistriesPtr before = registries_->Get();
  Write(config_.registries_conf, "[aliases]\na = 'x.example/a'\n");
  EXPECT_TRUE(test::Eventually([&] { return Has("a"); }));
  EXPECT_TRUE(before->aliases.empty()) << "who has a state keeps it";
  std::filesystem::remove(config_.registries_conf);
  EXPECT_TRUE(test::Eventually([&] { return !Has("a"); }));
}

TEST_F(RegistriesTest, FilesBelowDirectoriesThatComeLaterAreSeen) {
  Start();
  std::filesystem::create_directory(config_.registries_conf_dir);
  Write(config_.registries_conf_dir + "/a.conf", "[aliases]\na = 'x.example/a'\n");
  EXPECT_TRUE(test::Eventually([&] { return Has("a"); }));
  Write(config_.registries_conf_dir + "/b.conf", "[aliases]\nb = 'x.example/b'\n");
  EXPECT_TRUE(test::Eventually([&] { return Has("b"); }));
  std::filesystem::create_directory(dir_ / "cache");
  Write(config_.short_name_aliases, "[aliases]\nc = 'x.example/c'\n");
  EXPECT_TRUE(test::Eventually([&] { return Has("c"); }));
}

TEST_F(RegistriesTest, AMistakeIsKeptAndTheLastGoodStateToo) {
  Write(config_.registries_conf, "[aliases]\na = 'x.example/a'\n");
  Start();
  Write(config_.registries_conf, "[aliases]\na = 7\n");
  EXPECT_TRUE(test::Eventually([&] { return !registries_->last_error().ok(); }));
  EXPECT_NE(registries_->last_error().ToString().find("registries.conf:2: "), std::string::npos);
  EXPECT_TRUE(Has("a"));
  Write(config_.registries_conf, "[aliases]\nb = 'x.example/b'\n");
  EXPECT_TRUE(test::Eventually([&] { return Has("b"); }));
  EXPECT_OK(registries_->last_error());
}

TEST_F(RegistriesTest, AMistakeStopsTheStart) {
  Write(config_.registries_conf, "[[registry]]\n");
  EXPECT_EQ(Registries::Create(config_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RegistriesTest, EndsWhileChangesCome) {
  for (int i = 0; i < 20; ++i) {
    Start();
    Write(config_.registries_conf, "[aliases]\na = 'x.example/a'\n");
    registries_.reset();
  }
}

}  // namespace
}  // namespace davit::image
