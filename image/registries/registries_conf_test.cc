// SPDX-License-Identifier: Apache-2.0
#include "image/registries/registries_conf.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RegistriesConf Must(const std::string& text) {
  auto conf = ParseRegistriesConf(text, "r.conf");
  EXPECT_TRUE(conf.ok()) << conf.status();
  return conf.value_or(RegistriesConf());
}

TEST(RegistriesConfTest, ReadsEverything) {
  const RegistriesConf conf = Must(R"(
unqualified-search-registries = ["a.example", "b.example:5000"]
short-name-mode = "permissive"
credential-helpers = ["containers-auth.json", "store"]
additional-layer-store-auth-helper = "x"
[aliases]
"busybox" = "docker.io/library/busybox"
"team/app" = "quay.example/team/app"
"gone" = ""
[[registry]]
prefix = "a.example/team"
location = "internal.example:444/mirror-of/team/"
insecure = true
[[registry.mirror]]
location = "m1.example"
[[registry.mirror]]
location = "m2.example/x"
insecure = true
pull-from-mirror = "digest-only"
[[registry]]
location = "b.example"
blocked = true
[[registry]]
prefix = "*.wild.example"
[[registry]]
prefix = "c.example"
mirror-by-digest-only = true
mirror = [{ location = "m3.example" }]
)");
  EXPECT_THAT(*conf.unqualified_search, ElementsAre("a.example", "b.example:5000"));
  EXPECT_EQ(conf.short_name_mode, ShortNameMode::kPermissive);
  EXPECT_THAT(*conf.credential_helpers, ElementsAre("containers-auth.json", "store"));
  EXPECT_EQ(conf.aliases.at("team/app"), "quay.example/team/app");
  EXPECT_EQ(conf.aliases.at("gone"), "");
  const RegistryEntry& team = conf.registries.at("a.example/team");
  EXPECT_EQ(team.location, "internal.example:444/mirror-of/team");
  EXPECT_TRUE(team.insecure);
  EXPECT_FALSE(team.blocked);
  ASSERT_EQ(team.mirrors.size(), 2U);
  EXPECT_EQ(team.mirrors[0].use, RegistryMirror::Use::kAll);
  EXPECT_EQ(team.mirrors[1].use, RegistryMirror::Use::kDigestOnly);
  EXPECT_TRUE(team.mirrors[1].insecure);
  EXPECT_TRUE(conf.registries.at("b.example").blocked);
  EXPECT_EQ(conf.registries.at("*.wild.example").location, "");
  EXPECT_EQ(conf.registries.at("c.example").location, "c.example");
  EXPECT_EQ(conf.registries.at("c.example").mirrors[0].use, RegistryMirror::Use::kDigestOnly);
  EXPECT_TRUE(conf.warnings.empty());
}

TEST(RegistriesConfTest, UnknownKeysAreSaid) {
  const RegistriesConf conf = Must("new-key = 1\n[[registry]]\nlocation = 'a.example'\nodd = 2\n");
  EXPECT_THAT(conf.warnings, ElementsAre(HasSubstr("r.conf:1: unknown key new-key"),
                                         HasSubstr("r.conf:4: unknown key odd")));
}

TEST(RegistriesConfTest, MistakesNameFileLineAndWhat) {
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
      {"\n[[registry]\n", "r.conf:2: "},
      {"x = 1\nx = 2\n", "r.conf:2: "},
      {"unqualified-search-registries = 'a.example'", "r.conf:1: unqualified-search-registries is"},
      {"unqualified-search-registries = [1]", "r.conf:1: unqualified-search-registries is"},
      {"unqualified-search-registries = ['a.example/x']", "'a.example/x' is not host[:port]"},
      {"\nshort-name-mode = 'ask'", "r.conf:2: short-name-mode 'ask'"},
      {"short-name-mode = 1", "short-name-mode is not a string"},
      {"credential-helpers = 'x'", "credential-helpers is not"},
      {"[aliases]\nx = 'y'", "r.conf:2: alias x: 'y' is not host/repository"},
      {"[aliases]\nx = 'y.example/x:1'", "alias x"},
      {"[aliases]\n'y.example/x' = 'y.example/x'", "alias 'y.example/x' is not a short name"},
      {"aliases = 1", "aliases is not a table"},
      {"registry = 1", "[[registry]]"},
      {"[registry]\nlocation = 'x'", "[[registry]]"},
      {"[registries.search]\nregistries = ['x']", "version 1"},
      {"[[registry]]\ninsecure = true", "r.conf:1: [[registry]] has neither"},
      {"[[registry]]\nlocation = 'https://x.example'", "r.conf:2: location 'https://x.example'"},
      {"[[registry]]\nlocation = 'x.example'\ninsecure = 'yes'", "r.conf:3: insecure is not"},
      {"[[registry]]\nlocation = 'UP per'", "location 'UP per'"},
      {"[[registry]]\nprefix = '*.x.example/team'\nlocation = 'y.example'", "r.conf:2: prefix"},
      {"[[registry]]\nprefix = '*.x.example:5000'\nlocation = 'y.example'", "prefix"},
      {"[[registry]]\nprefix = 'x.*.example'\nlocation = 'y.example'", "prefix"},
      {"[[registry]]\nlocation = 'x.example'\n[[registry]]\nprefix = 'x.example'",
       "r.conf:3: prefix 'x.example' has an entry at r.conf:1"},
      {"[[registry]]\nlocation = 'x.example'\nmirror = 1", "mirror is not"},
      {"[[registry]]\nlocation = 'x.example'\n[[registry.mirror]]\ninsecure = true", "no location"},
      {"[[registry]]\nlocation = 'x.example'\n[[registry.mirror]]\nlocation = 'm.example'\n"
       "pull-from-mirror = 'some'",
       "r.conf:5: pull-from-mirror 'some'"},
      {"[[registry]]\nlocation = 'x.example'\nmirror-by-digest-only = true\n[[registry.mirror]]\n"
       "location = 'm.example'\npull-from-mirror = 'all'",
       "r.conf:6: pull-from-mirror contradicts"},
  };
  for (const auto& c : cases) {
    const auto conf = ParseRegistriesConf(c.text, "r.conf");
    ASSERT_FALSE(conf.ok()) << c.text;
    EXPECT_EQ(conf.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(conf.status()), HasSubstr(c.says)) << c.text;
    EXPECT_TRUE(Message(conf.status()).starts_with("r.conf:")) << conf.status();
  }
}

TEST(RegistriesConfTest, PrefixesMatchWholeComponents) {
  const struct {
    const char* name;
    const char* prefix;
    size_t length;
  } cases[] = {
      {"a.example/x:1", "a.example", 9},
      {"a.example/x:1", "a.example/x", 11},
      {"a.example/x:1", "a.example/x:1", 13},
      {"a.example/xy:1", "a.example/x", 0},
      {"a.example/x:10", "a.example/x:1", 0},
      {"a.example:5000/x:1", "a.example", 0},
      {"a.example:5000/x:1", "a.example:5000", 14},
      {"a.example.evil/x:1", "a.example", 0},
      {"sub.a.example/x:1", "*.a.example", 13},
      {"sub.sub.a.example:5/x:1", "*.a.example", 17},
      {"a.example/x:1", "*.a.example", 0},
      {"suba.example/x:1", "*.a.example", 0},
      {"b.example/sub.a.example/x:1", "*.a.example", 0},
      {"a.example/x@sha256:00", "a.example/x", 11},
      {"a.example/x", "", 0},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(MatchPrefix(c.name, c.prefix), c.length) << c.name << " " << c.prefix;
  }
}

TEST(RegistriesConfTest, LongestPrefixIsFound) {
  const RegistriesConf conf = Must(R"(
[[registry]]
prefix = "*.example"
[[registry]]
location = "r.example"
[[registry]]
location = "r.example/team"
)");
  EXPECT_EQ(conf.Find("r.example/team/x:1")->prefix, "r.example/team");
  EXPECT_EQ(conf.Find("r.example/other:1")->prefix, "r.example");
  EXPECT_EQ(conf.Find("q.example/other:1")->prefix, "*.example");
  EXPECT_EQ(conf.Find("other/x:1"), nullptr);
}

class LoadTest : public testing::Test {
 protected:
  LoadTest() { std::filesystem::create_directory(paths_.directory); }
  static void Write(const std::string& file, const std::string& text) {
    std::ofstream(file) << text;
  }
  TempDir dir_;
  const RegistriesPaths paths_ = {.file = dir_.path() + "/registries.conf",
                                  .directory = dir_.path() + "/registries.conf.d",
                                  .short_name_aliases = dir_.path() + "/aliases.conf"};
};

TEST_F(LoadTest, NothingThereIsNothingSaid) {
  const auto conf =
      LoadRegistriesConf({.file = "/none/x", .directory = "/none", .short_name_aliases = ""});
  ASSERT_TRUE(conf.ok()) << conf.status();
  EXPECT_FALSE(conf->unqualified_search.has_value());
  EXPECT_TRUE(conf->registries.empty());
}

TEST_F(LoadTest, DropInsGoOverTheFileInTheOrderOfTheirNames) {
  Write(paths_.file, R"(
unqualified-search-registries = ["first.example"]
short-name-mode = "disabled"
[[registry]]
location = "a.example"
blocked = true
[[registry]]
location = "kept.example"
[aliases]
x = "a.example/x"
y = "a.example/y"
)");
  Write(paths_.directory + "/20-later.conf", "[aliases]\nx = 'c.example/x'\n");
  Write(paths_.directory + "/10-early.conf",
        "unqualified-search-registries = ['second.example']\n[[registry]]\nlocation = 'a.example'\n"
        "insecure = true\n[aliases]\nx = 'b.example/x'\ny = ''\n");
  Write(paths_.directory + "/30-not-read.conf.bak", "[[[");
  Write(paths_.short_name_aliases, "[aliases]\nz = 'd.example/z'\n");
  const auto conf = LoadRegistriesConf(paths_);
  ASSERT_TRUE(conf.ok()) << conf.status();
  EXPECT_THAT(*conf->unqualified_search, ElementsAre("second.example"));
  EXPECT_EQ(conf->short_name_mode, ShortNameMode::kDisabled);
  EXPECT_FALSE(conf->registries.at("a.example").blocked);
  EXPECT_TRUE(conf->registries.at("a.example").insecure);
  EXPECT_EQ(conf->registries.count("kept.example"), 1U);
  EXPECT_EQ(conf->aliases.at("x"), "c.example/x");
  EXPECT_EQ(conf->aliases.at("y"), "");
  EXPECT_EQ(conf->aliases.at("z"), "d.example/z");
}

TEST_F(LoadTest, TheMistakenDropInIsNamed) {
  Write(paths_.directory + "/50-bad.conf", "\n\nnonsense");
  EXPECT_THAT(Message(LoadRegistriesConf(paths_).status()), HasSubstr("/50-bad.conf:3: "));
}

}  // namespace
}  // namespace davit::image
