// SPDX-License-Identifier: Apache-2.0
#include "image/reference.h"

#include <gtest/gtest.h>

namespace davit::image {
namespace {

const std::string kHex64(64, 'a');
const std::string kDigest = "sha256:" + kHex64;

struct Good {
  std::string text;
  std::string canonical;
  std::string tag;
};

class GoodReference : public testing::TestWithParam<Good> {};

TEST_P(GoodReference, IsNormalised) {
  const auto reference = Reference::Parse(GetParam().text);
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->canonical(), GetParam().canonical);
  EXPECT_EQ(reference->tag, GetParam().tag);
  // What is canonical stays as it is.
  const auto again = Reference::Parse(reference->canonical());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->canonical(), reference->canonical());
}

INSTANTIATE_TEST_SUITE_P(
    Table, GoodReference,
    testing::Values(Good{"busybox", "docker.io/library/busybox:latest", "latest"},
                    Good{"busybox:1.36", "docker.io/library/busybox:1.36", "1.36"},
                    Good{"team/app", "docker.io/team/app:latest", "latest"},
                    Good{"index.docker.io/busybox", "docker.io/library/busybox:latest", "latest"},
                    Good{"docker.io/busybox:1", "docker.io/library/busybox:1", "1"},
                    Good{"localhost/app", "localhost/app:latest", "latest"},
                    Good{"localhost:5000/app:v1", "localhost:5000/app:v1", "v1"},
                    Good{"127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000/a/b/c:x", "x"},
                    Good{"[::1]:5000/app", "[::1]:5000/app:latest", "latest"},
                    Good{"[fd00::2]/app:1", "[fd00::2]/app:1", "1"},
                    Good{"Registry.Example/app", "Registry.Example/app:latest", "latest"},
                    Good{"r.example/a__b/c-d---e/f.g", "r.example/a__b/c-d---e/f.g:latest",
                         "latest"},
                    Good{"r.example/app:_Tag-1.2", "r.example/app:_Tag-1.2", "_Tag-1.2"},
                    Good{"r.example/app@" + kDigest, "r.example/app@" + kDigest, ""},
                    Good{"r.example/app:v1@" + kDigest, "r.example/app@" + kDigest, "v1"},
                    Good{"busybox@sha512:" + kHex64 + kHex64,
                         "docker.io/library/busybox@sha512:" + kHex64 + kHex64, ""},
                    Good{kHex64 + ":tag", "docker.io/library/" + kHex64 + ":tag", "tag"},
                    Good{"r.example/" + kHex64, "r.example/" + kHex64 + ":latest", "latest"}));

TEST(ReferenceTest, UsesTheDefaultDomainGiven) {
  const auto reference = Reference::Parse("app:1", "registry.example:5000");
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->canonical(), "registry.example:5000/app:1");
  EXPECT_EQ(Reference::Parse("r.example/app:1", "other.example")->domain, "r.example");
}

TEST(ReferenceTest, AsksTheRegistryForTheDigestIfThereIsOne) {
  EXPECT_EQ(Reference::Parse("app:1")->manifest_reference(), "1");
  EXPECT_EQ(Reference::Parse("app:1@" + kDigest)->manifest_reference(), kDigest);
  EXPECT_EQ(Reference::Parse("app:1")->repository(), "docker.io/library/app");
}

class BadReference : public testing::TestWithParam<std::string> {};

TEST_P(BadReference, IsInvalidArgument) {
  const auto reference = Reference::Parse(GetParam());
  ASSERT_FALSE(reference.ok()) << reference->canonical();
  EXPECT_EQ(reference.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(reference.status().message()).find("image reference"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadReference,
    testing::Values("", " ", "UPPER", "r.example/Upper", "app:", "app@", ":tag", "@" + kDigest,
                    "app@sha256:abc", "app@sha256:" + std::string(64, 'A'),
                    "app@sha256:" + std::string(65, 'a'), "app@md5:" + std::string(32, 'a'),
                    "app@sha256:" + kHex64 + "@" + kDigest, "app@sha256:../../../../etc",
                    "app:tag:tag", "app:.tag", "app:-tag", "app:" + std::string(129, 't'), "a//b",
                    "/a", "a/", "r.example/", "r.example//a", "a/../b", "../a", "a/./b", "a..b",
                    "a___b", "a_-b", "-a", "a-", "a b", "a\nb", std::string("a\0b", 3),
                    "r.example:port/a", "r.example:/a", "r.example:123456/a", "r.example:65536/a",
                    "-r.example/a", "r..example/a", "[::1/a", "[]/a", "[::1]x/a", "[zz::]/a",
                    "http://r.example/a", "docker://busybox", kHex64, "app?x=1", "app%2f",
                    "user@r.example/app", "\xff\xfe", "r.example/" + std::string(246, 'a'),
                    std::string(2000, 'a')));

TEST(ReferenceTest, RepositoryOf255CharactersIsTheLongest) {
  EXPECT_TRUE(Reference::Parse("r.example/" + std::string(245, 'a')).ok());
  EXPECT_FALSE(Reference::Parse("r.example/" + std::string(246, 'a')).ok());
  // library/ and the domain count.
  EXPECT_FALSE(Reference::Parse(std::string(240, 'a')).ok());
}

TEST(ReferenceTest, MessageSaysWhatIsWrongAndIsPrintable) {
  const std::string message(Reference::Parse("a\x1b[31m").status().message());
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  const std::string upper(Reference::Parse("r.example/App").status().message());
  EXPECT_NE(upper.find("lower case"), std::string::npos) << upper;
}

}  // namespace
}  // namespace davit::image
