// SPDX-License-Identifier: Apache-2.0
#include "image/registries/short_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace davit::image {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Strings = std::vector<std::string>;

class ShortNameTest : public testing::Test {
 protected:
  Strings Names(const std::string& name) const {
    auto found = ResolveName(name, conf_, config_);
    EXPECT_TRUE(found.ok()) << name << ": " << found.status();
    Strings names;
    for (const Reference& reference : found.value_or(std::vector<Reference>())) {
      names.push_back(reference.canonical());
    }
    return names;
  }
  RegistriesConf conf_;
  config::Image config_;
};

TEST_F(ShortNameTest, WithoutAnyFileTheRegistryIsDocker) {
  EXPECT_THAT(Names("busybox"), ElementsAre("docker.io/library/busybox:latest"));
  EXPECT_THAT(Names("team/app:1"), ElementsAre("docker.io/team/app:1"));
}

TEST_F(ShortNameTest, FullNamesMeanThemselves) {
  conf_.unqualified_search = Strings{"a.example", "b.example"};
  conf_.aliases = {{"x", "y.example/x"}};
  EXPECT_THAT(Names("r.example/x:1"), ElementsAre("r.example/x:1"));
  EXPECT_THAT(Names("localhost/x"), ElementsAre("localhost/x:latest"));
  EXPECT_THAT(Names("r.example:5000/x"), ElementsAre("r.example:5000/x:latest"));
  EXPECT_THAT(Names("[::1]:5000/x"), ElementsAre("[::1]:5000/x:latest"));
}

TEST_F(ShortNameTest, AliasesComeFirstAndKeepTagAndDigest) {
  conf_.unqualified_search = Strings{"a.example", "b.example"};
  conf_.aliases = {{"app", "quay.example/team/app"}, {"gone", ""}};
  const std::string digest = "sha256:" + std::string(64, 'a');
  EXPECT_THAT(Names("app"), ElementsAre("quay.example/team/app:latest"));
  EXPECT_THAT(Names("app:2"), ElementsAre("quay.example/team/app:2"));
  EXPECT_THAT(Names("app@" + digest), ElementsAre("quay.example/team/app@" + digest));
  EXPECT_FALSE(ResolveName("gone", conf_, config_).ok()) << "ambiguous again";
}

TEST_F(ShortNameTest, SeveralRegistriesAreAnErrorOnlyWhenEnforced) {
  conf_.unqualified_search = Strings{"a.example", "b.example:5000"};
  const auto both = ElementsAre("a.example/x:latest", "b.example:5000/x:latest");
  for (const bool by_file : {true, false}) {
    for (const char* mode : {"", "enforcing", "permissive", "disabled"}) {
      conf_.short_name_mode.reset();
      config_.short_name_mode = by_file ? "" : mode;
      const std::string text = mode;
      if (by_file && !text.empty()) {
        conf_.short_name_mode = text == "enforcing"    ? ShortNameMode::kEnforcing
                                : text == "permissive" ? ShortNameMode::kPermissive
                                                       : ShortNameMode::kDisabled;
      }
      const auto found = ResolveName("x", conf_, config_);
      if (text.empty() || text == "enforcing") {
        ASSERT_FALSE(found.ok()) << mode;
        EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition);
        EXPECT_THAT(Message(found.status()), HasSubstr("ambiguous: a.example, b.example:5000"));
      } else {
        EXPECT_THAT(Names("x"), both) << mode;
      }
      EXPECT_EQ(CandidatesOf("x", conf_, config_)->size(), 2U) << "to look at what is here";
    }
  }
}

TEST_F(ShortNameTest, TheOwnConfigurationCountsMore) {
  conf_.unqualified_search = Strings{"a.example", "b.example"};
  config_.unqualified_search = {"own.example"};
  EXPECT_THAT(Names("x"), ElementsAre("own.example/x:latest"));
}

TEST_F(ShortNameTest, NothingToSearchIsSaid) {
  conf_.unqualified_search = Strings{};
  EXPECT_THAT(Message(ResolveName("x", conf_, config_).status()), HasSubstr("no registries"));
  EXPECT_TRUE(CandidatesOf("x", conf_, config_)->empty());
}

TEST_F(ShortNameTest, WhatIsNoReferenceStaysOne) {
  for (const char* name : {"", "UPPER", "a b", "x@sha256:short", "r.example/", "../x", "x:"}) {
    EXPECT_EQ(ResolveName(name, conf_, config_).status().code(), absl::StatusCode::kInvalidArgument)
        << name;
  }
}

}  // namespace
}  // namespace davit::image
