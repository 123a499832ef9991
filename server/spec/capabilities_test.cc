// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

using Names = std::set<std::string>;

class CapabilitiesTest : public testing::Test {
 protected:
  CapabilitiesTest() { request_.node.default_capabilities = {"CHOWN", "KILL", "SETPCAP"}; }
  runtime::v1::Capability& Request() { return *request_.Context().mutable_capabilities(); }
  Names Granted() {
    const absl::StatusOr<Capabilities> result = ResolveCapabilities(request_.Input());
    EXPECT_TRUE(result.ok()) << Text(result.status());
    return result.ok() ? result->granted : Names{};
  }
  std::string Error() { return Text(ResolveCapabilities(request_.Input()).status()); }

  TestRequest request_;
};

TEST_F(CapabilitiesTest, DefaultsThatTheDaemonHas) {
  EXPECT_EQ(Granted(), (Names{"CAP_CHOWN", "CAP_KILL"}));
}

TEST_F(CapabilitiesTest, AddAndDrop) {
  Request().add_add_capabilities("net_admin");
  Request().add_add_capabilities("CAP_NET_RAW");
  Request().add_drop_capabilities("KILL");
  Request().add_drop_capabilities("SYS_TIME");
  EXPECT_EQ(Granted(), (Names{"CAP_CHOWN", "CAP_NET_ADMIN", "CAP_NET_RAW"}));
}

TEST_F(CapabilitiesTest, All) {
  Request().add_add_capabilities("ALL");
  EXPECT_EQ(Granted(), request_.own_capabilities);
  Request().add_drop_capabilities("NET_RAW");
  EXPECT_EQ(Granted().count("CAP_NET_RAW"), 0U);
  EXPECT_EQ(Granted().size(), request_.own_capabilities.size() - 1);
  Request().Clear();
  Request().add_drop_capabilities("all");
  EXPECT_EQ(Granted(), Names{});
  Request().add_add_capabilities("CHOWN");
  EXPECT_EQ(Granted(), Names{"CAP_CHOWN"});
}

TEST_F(CapabilitiesTest, PrivilegedIsAllThatTheDaemonHas) {
  request_.MakePrivileged();
  EXPECT_EQ(Granted(), request_.own_capabilities);
}

TEST_F(CapabilitiesTest, NamesWhatTheDaemonLacks) {
  Request().add_add_capabilities("SYS_TIME");
  EXPECT_EQ(
      Error().rfind("FAILED_PRECONDITION: add_capabilities: davit does not have CAP_SYS_TIME", 0),
      0U)
      << Error();
}

TEST_F(CapabilitiesTest, RefusesUnknownNames) {
  Request().add_add_capabilities("FLY");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: add_capabilities", 0), 0U) << Error();
  Request().Clear();
  Request().add_drop_capabilities("SWIM");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: drop_capabilities", 0), 0U) << Error();
}

// CVE-2022-27652 and kin: non-empty inheritable sets.
TEST_F(CapabilitiesTest, InheritableIsEmptyUnlessAmbientWasAskedFor) {
  Json json = request_.Process()["capabilities"];
  EXPECT_TRUE(json["inheritable"].empty());
  EXPECT_TRUE(json["ambient"].empty());
  EXPECT_EQ(json["bounding"], json["effective"]);
  EXPECT_EQ(json["bounding"], json["permitted"]);
  request_.MakePrivileged();
  EXPECT_TRUE(request_.Process()["capabilities"]["inheritable"].empty());

  TestRequest ambient;
  ambient.Context().mutable_capabilities()->add_add_ambient_capabilities("NET_RAW");
  json = ambient.Process()["capabilities"];
  EXPECT_EQ(json["ambient"], Json({"CAP_NET_RAW"}));
  EXPECT_EQ(json["inheritable"], Json({"CAP_NET_RAW"}));
  EXPECT_TRUE(HasString(json["permitted"], "CAP_NET_RAW"));
}

}  // namespace
}  // namespace davit::server::spec
