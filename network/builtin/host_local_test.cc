// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/host_local.h"

#include <fcntl.h>
#include <sys/file.h>

#include <chrono>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/test_util.h"

namespace davit::network::builtin {
namespace {

RangeSet SetOf(const std::vector<std::string>& subnets) {
  RangeSet set;
  for (const std::string& subnet : subnets) {
    set.push_back(MakeRange(subnet, "", "", "").value());
  }
  return set;
}

std::string TextOf(const absl::StatusOr<std::vector<Lease>>& leases) {
  if (!leases.ok()) {
    return std::string(leases.status().message());
  }
  std::string result;
  for (const Lease& lease : *leases) {
    result += ToText(lease.address) + " by " + ToText(lease.gateway) + ";";
  }
  return result;
}

class HostLocalTest : public testing::Test {
 protected:
  std::string Reserve(const std::vector<RangeSet>& sets, std::string_view container) {
    Context ctx;
    return TextOf(HostLocal(dir_.path(), "net").Reserve(ctx, sets, container));
  }
  absl::Status Release(std::string_view container, const std::vector<Prefix>& known = {}) {
    Context ctx;
    return HostLocal(dir_.path(), "net").Release(ctx, container, known);
  }
  std::string Read(const std::string& name) {
    return ReadFile(dir_ / ("net/" + name)).value_or("missing");
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(MakeDirs(dir_ / "net", 0755).ok());
    ASSERT_TRUE(WriteFileAtomic(dir_ / ("net/" + name), text, 0644).ok());
  }

  test::TempDir dir_;
};

TEST_F(HostLocalTest, GivesOneOfEachSetAndKeepsTheFilesOfThePlugin) {
  const std::vector<RangeSet> sets = {SetOf({"10.1.0.0/24"}), SetOf({"fd00:1::/64"})};
  EXPECT_EQ(Reserve(sets, "a"), "10.1.0.2/24 by 10.1.0.1;fd00:1::2/64 by fd00:1::1;");
  EXPECT_EQ(Read("10.1.0.2"), "a\r\neth0");
  EXPECT_EQ(Read("fd00:1::2"), "a\r\neth0");
  EXPECT_EQ(Read("last_reserved_ip.0"), "10.1.0.2");
  EXPECT_EQ(Read("last_reserved_ip.1"), "fd00:1::2");
  EXPECT_EQ(ListDir(dir_ / "net")->size(), 5U);
}

TEST_F(HostLocalTest, GoesOnBehindTheLastOneAndAround) {
  const std::vector<RangeSet> sets = {SetOf({"10.1.0.0/29"})};  // .2 to .6
  Write("last_reserved_ip.0", "10.1.0.5");
  Write("10.1.0.2", "foreign\r\neth0");
  EXPECT_EQ(Reserve(sets, "a"), "10.1.0.6/29 by 10.1.0.1;");
  EXPECT_EQ(Reserve(sets, "b"), "10.1.0.3/29 by 10.1.0.1;");
  EXPECT_TRUE(Release("a").ok());
  EXPECT_EQ(Reserve(sets, "c"), "10.1.0.4/29 by 10.1.0.1;");
  EXPECT_EQ(Reserve(sets, "d"), "10.1.0.5/29 by 10.1.0.1;");
  EXPECT_EQ(Reserve(sets, "e"), "10.1.0.6/29 by 10.1.0.1;");
  EXPECT_EQ(Reserve(sets, "f"),
            "failed to allocate for range 0: no IP addresses available in range set: "
            "10.1.0.1-10.1.0.6");
  EXPECT_EQ(Read("last_reserved_ip.0"), "10.1.0.6");
  EXPECT_TRUE(Release("b").ok());
  EXPECT_EQ(Reserve(sets, "f"), "10.1.0.3/29 by 10.1.0.1;");
}

TEST_F(HostLocalTest, GoesThroughAllRangesOfASet) {
  const std::vector<RangeSet> sets = {SetOf({"10.1.0.0/30", "10.2.0.0/30"})};
  EXPECT_EQ(Reserve(sets, "a"), "10.1.0.2/30 by 10.1.0.1;");
  EXPECT_EQ(Reserve(sets, "b"), "10.2.0.2/30 by 10.2.0.1;");
  EXPECT_EQ(Reserve(sets, "c"),
            "failed to allocate for range 0: no IP addresses available in range set: "
            "10.1.0.1-10.1.0.2,10.2.0.1-10.2.0.2");
  EXPECT_TRUE(Release("a").ok());
  EXPECT_EQ(Reserve(sets, "c"), "10.1.0.2/30 by 10.1.0.1;");
}

TEST_F(HostLocalTest, AllOrNothing) {
  const std::vector<RangeSet> sets = {SetOf({"10.1.0.0/24"}), SetOf({"10.2.0.0/30"})};
  EXPECT_EQ(Reserve(sets, "a"), "10.1.0.2/24 by 10.1.0.1;10.2.0.2/30 by 10.2.0.1;");
  EXPECT_EQ(Reserve(sets, "b"),
            "failed to allocate for range 1: no IP addresses available in range set: "
            "10.2.0.1-10.2.0.2");
  EXPECT_EQ(Read("10.1.0.3"), "missing");
  EXPECT_EQ(Read(".davit-new"), "missing");
}

TEST_F(HostLocalTest, GivesBackOnlyWhatIsTheContainers) {
  Write("10.1.0.7", "a\r\neth0");
  Write("10.1.0.8", "b\r\neth0");
  Write("10.1.0.9", "a\r\neth1");
  Write(".davit-new", "a\r\neth0");  // of one who died
  EXPECT_TRUE(Release("a", {*ParsePrefix("10.1.0.8/24")}).ok());
  EXPECT_EQ(Read("10.1.0.8"), "b\r\neth0");
  EXPECT_EQ(Read("10.1.0.7"), "a\r\neth0");
  EXPECT_TRUE(Release("a").ok());
  EXPECT_EQ(Read("10.1.0.7"), "missing");
  EXPECT_EQ(Read(".davit-new"), "missing");
  EXPECT_EQ(Read("10.1.0.8"), "b\r\neth0");
  EXPECT_EQ(Read("10.1.0.9"), "a\r\neth1");
  EXPECT_TRUE(Release("a").ok());
}

TEST_F(HostLocalTest, NothingWasEverGivenOut) {
  EXPECT_TRUE(Release("a").ok());
  EXPECT_FALSE(PathExists(dir_ / "net"));
}

TEST_F(HostLocalTest, WaitsForTheLockNoLongerThanItsCaller) {
  const std::vector<RangeSet> sets = {SetOf({"10.1.0.0/24"})};
  Reserve(sets, "a");
  const UniqueFd other(open((dir_ / "net/lock").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(flock(other.get(), LOCK_EX), 0);
  Context ctx(std::chrono::milliseconds(20));
  const absl::Status status = HostLocal(dir_.path(), "net").Reserve(ctx, sets, "b").status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST(MakeRange, RefusesWhatThePluginRefuses) {
  EXPECT_TRUE(MakeRange("10.1.0.0/30", "", "", "").has_value());
  EXPECT_FALSE(MakeRange("10.1.0.0/31", "", "", "").has_value()) << "no room";
  EXPECT_FALSE(MakeRange("10.1.0.1/24", "", "", "").has_value()) << "no network";
  EXPECT_FALSE(MakeRange("10.1.0.0/24", "10.2.0.1", "", "").has_value()) << "outside";
  EXPECT_FALSE(MakeRange("10.1.0.0/24", "10.1.0.9", "10.1.0.8", "").has_value()) << "backwards";
  EXPECT_FALSE(MakeRange("10.1.0.0/24", "", "", "10.2.0.1").has_value());
  EXPECT_FALSE(MakeRange("10.01.0.0/24", "", "", "").has_value());
  EXPECT_FALSE(MakeRange("FD00::/64", "", "", "").has_value()) << "another form";
  EXPECT_FALSE(MakeRange("::ffff:10.1.0.0/120", "", "", "").has_value());
  const std::optional<Range> six = MakeRange("fd00::/120", "", "", "");
  EXPECT_EQ(ToText(six->last), "fd00::ff");
}

TEST(AreDisjoint, LooksAtAllRanges) {
  EXPECT_TRUE(AreDisjoint({SetOf({"10.1.0.0/24", "10.2.0.0/24"}), SetOf({"fd00::/64"})}));
  EXPECT_FALSE(AreDisjoint({SetOf({"10.1.0.0/24"}), SetOf({"10.1.0.128/25"})}));
  EXPECT_FALSE(AreDisjoint({SetOf({"10.1.0.0/24", "fd00::/64"})}));
}

}  // namespace
}  // namespace davit::network::builtin
