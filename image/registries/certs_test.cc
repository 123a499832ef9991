// SPDX-License-Identifier: Apache-2.0
#include "image/registries/certs.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

using testing::HasSubstr;

std::string Pem(const std::string& text) {
  return "-----BEGIN X-----\n" + text + "\n-----END X-----\n";
}

class CertsTest : public testing::Test {
 protected:
  std::string Host(const std::string& first_or_second, const std::string& host) {
    const std::string directory = dir_.path() + "/" + first_or_second + "/" + host;
    std::filesystem::create_directories(directory);
    return directory + "/";
  }
  static void Write(const std::string& file, const std::string& text) {
    std::ofstream(file) << text;
  }
  TempDir dir_;
  const std::vector<std::string> directories_ = {dir_.path() + "/first", dir_.path() + "/second"};
};

TEST_F(CertsTest, NoDirectoryIsTheSystems) {
  const auto found = FindCerts(directories_, "r.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, nullptr);
  Host("first", "r.example");
  EXPECT_EQ(*FindCerts(directories_, "r.example"), nullptr);
}

TEST_F(CertsTest, AuthoritiesAndTheFirstPair) {
  const std::string place = Host("second", "r.example:5000");
  Write(place + "a.crt", Pem("one"));
  Write(place + "b.crt", Pem("two"));
  Write(place + "m.cert", Pem("cert m"));
  Write(place + "m.key", Pem("key m"));
  Write(place + "n.cert", Pem("cert n"));
  Write(place + "n.key", Pem("key n"));
  Write(place + "README", "text");
  const auto found = FindCerts(directories_, "r.example:5000");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ((*found)->ca, Pem("one") + "\n" + Pem("two") + "\n");
  EXPECT_EQ((*found)->cert, Pem("cert m"));
  EXPECT_EQ((*found)->key, Pem("key m"));
  EXPECT_EQ(*FindCerts(directories_, "r.example"), nullptr);
}

TEST_F(CertsTest, TheFirstDirectoryWithTheHostCounts) {
  Write(Host("first", "r.example") + "a.crt", Pem("first"));
  Write(Host("second", "r.example") + "a.crt", Pem("second"));
  EXPECT_EQ((*FindCerts(directories_, "r.example"))->ca, Pem("first") + "\n");
  EXPECT_EQ((*FindCertsOfUrl(directories_, "r.example:443"))->ca, Pem("first") + "\n");
  EXPECT_EQ(*FindCertsOfUrl(directories_, "r.example:444"), nullptr);
}

TEST_F(CertsTest, HalfAPairAndWhatIsNoPemAreNamed) {
  Write(Host("first", "a.example") + "x.cert", Pem("c"));
  Write(Host("first", "b.example") + "x.key", Pem("k"));
  Write(Host("first", "c.example") + "x.crt", "secret text");
  for (const auto& [host, says] : {std::pair("a.example", "x.key"),
                                   {"b.example", "x.cert"},
                                   {"c.example", "x.crt is not PEM"}}) {
    const auto found = FindCerts(directories_, host);
    ASSERT_FALSE(found.ok()) << host;
    EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(found.status()), HasSubstr(says));
    EXPECT_EQ(Message(found.status()).find("secret"), std::string::npos);
  }
}

TEST_F(CertsTest, AHostIsNoPath) {
  Write(dir_.path() + "/x.crt", Pem("outside"));
  std::filesystem::create_directories(dir_.path() + "/first");
  for (const char* host : {"..", ".", "", "../second", "a/../.."}) {
    EXPECT_EQ(*FindCerts(directories_, host), nullptr) << host;
  }
}

}  // namespace
}  // namespace davit::image
