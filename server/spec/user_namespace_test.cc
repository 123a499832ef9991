// SPDX-License-Identifier: Apache-2.0
#include <sys/statvfs.h>

#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

using runtime::v1::UserNamespace;

void Map(google::protobuf::RepeatedPtrField<runtime::v1::IDMapping>& list, uint32_t inside,
         uint32_t outside, uint32_t length) {
  auto& range = *list.Add();
  range.set_container_id(inside);
  range.set_host_id(outside);
  range.set_length(length);
}

class UserNamespaceTest : public testing::Test {
 protected:
  UserNamespaceTest() {
    request_.namespaces = {
        .user = "/ns/user", .net = "/ns/net", .ipc = "/ns/ipc", .uts = "/ns/uts"};
    Pod().set_mode(runtime::v1::POD);
    Map(*Pod().mutable_uids(), 0, 200000, 1000);
    Map(*Pod().mutable_gids(), 0, 300000, 1000);
  }

  UserNamespace& Pod() {
    return *request_.sandbox.mutable_linux()
                ->mutable_security_context()
                ->mutable_namespace_options()
                ->mutable_userns_options();
  }
  UserNamespace& Own() {
    return *request_.Context().mutable_namespace_options()->mutable_userns_options();
  }
  void ExpectError(const std::string& text) {
    EXPECT_EQ(Text(request_.Error()).rfind("INVALID_ARGUMENT: container web: " + text, 0), 0U)
        << Text(request_.Error());
  }
  Json At(const std::string& path) {
    return FindBy(request_.Config()["mounts"], "destination", path);
  }

  TestRequest request_;
};

TEST_F(UserNamespaceTest, IsJoinedAndMapped) {
  const Json section = request_.Config()["linux"];
  EXPECT_EQ(section["namespaces"][0], Json({{"type", "user"}, {"path", "/ns/user"}}))
      << "before those that it owns";
  EXPECT_EQ(section["uidMappings"],
            Json::array({{{"containerID", 0}, {"hostID", 200000}, {"size", 1000}}}));
  EXPECT_EQ(section["gidMappings"],
            Json::array({{{"containerID", 0}, {"hostID", 300000}, {"size", 1000}}}));
  Pod().set_mode(runtime::v1::NODE);
  request_.namespaces.user.clear();
  EXPECT_FALSE(request_.Config()["linux"].contains("uidMappings"));
}

TEST_F(UserNamespaceTest, TheContainersIsThePods) {
  Own() = Pod();
  EXPECT_TRUE(request_.Config()["linux"].contains("uidMappings"));
  Own().mutable_gids(0)->set_host_id(300001);
  ExpectError("namespace_options.userns_options.gids: differ from the pod's");
  Own() = Pod();
  Map(*Own().mutable_uids(), 5000, 500000, 1);
  ExpectError("namespace_options.userns_options.uids: differ from the pod's");
  Own() = UserNamespace();
  Own().set_mode(runtime::v1::NODE);
  ExpectError("namespace_options.userns_options.mode: the pod is in a user namespace of its own");
  Own() = Pod();
  Pod().set_mode(runtime::v1::NODE);
  request_.namespaces.user.clear();
  ExpectError("namespace_options.userns_options.mode: the pod is in the node's user namespace");
}

TEST_F(UserNamespaceTest, UsersAndGroupsMustBeMapped) {
  request_.Context().mutable_run_as_user()->set_value(999);
  request_.Config();
  request_.Context().mutable_run_as_user()->set_value(1000);
  ExpectError("user 1000 has no ID on the host");
  request_.Context().mutable_run_as_user()->set_value(0);
  request_.Context().mutable_run_as_group()->set_value(1000);
  ExpectError("group 1000 has no ID on the host");
  request_.Context().clear_run_as_group();
  request_.Context().add_supplemental_groups(70000);
  ExpectError("supplemental group 70000 has no ID on the host");
}

TEST_F(UserNamespaceTest, NoProcessesOfTheHost) {
  request_.namespaces.host_pid = true;
  ExpectError("namespace_options.pid NODE");
}

TEST_F(UserNamespaceTest, TerminalsBelongToAGroupThatThereIs) {
  EXPECT_TRUE(HasString(At("/dev/pts")["options"], "gid=5"));
  Pod().mutable_gids(0)->set_length(1);
  EXPECT_FALSE(HasString(At("/dev/pts")["options"], "gid=5"));
}

TEST_F(UserNamespaceTest, SysOfTheHostIsReadOnly) {
  EXPECT_EQ(At("/sys")["type"], "sysfs");
  request_.host_sys = "/run/pod/sys";
  request_.MakePrivileged();
  const Json sys = At("/sys");
  EXPECT_EQ(sys["source"], "/run/pod/sys");
  EXPECT_TRUE(HasString(sys["options"], "rbind"));
  EXPECT_TRUE(HasString(sys["options"], "ro"));
}

TEST_F(UserNamespaceTest, MountsKeepTheFlagsOfTheirSource) {
  auto& mount = *request_.container.add_mounts();
  mount.set_container_path("/data");
  for (const char* source : {"/proc", "/sys", "/dev/pts", "/tmp"}) {
    mount.set_host_path(source);
    const Json options = At("/data")["options"];
    struct statvfs fs = {};
    ASSERT_EQ(statvfs(source, &fs), 0);
    EXPECT_EQ(HasString(options, "nosuid"), (fs.f_flag & ST_NOSUID) != 0) << source;
    EXPECT_EQ(HasString(options, "nodev"), (fs.f_flag & ST_NODEV) != 0) << source;
    EXPECT_EQ(HasString(options, "noexec"), (fs.f_flag & ST_NOEXEC) != 0) << source;
    EXPECT_EQ(HasString(options, "ro"), (fs.f_flag & ST_RDONLY) != 0) << source;
  }
  Pod().set_mode(runtime::v1::NODE);
  request_.namespaces.user.clear();
  EXPECT_EQ(At("/data")["options"], Json({"rbind", "rprivate", "rw"}));
}

TEST_F(UserNamespaceTest, NoMountComesOut) {
  auto& mount = *request_.container.add_mounts();
  mount.set_host_path(request_.root.path());
  mount.set_container_path("/data");
  mount.set_propagation(runtime::v1::PROPAGATION_BIDIRECTIONAL);
  ExpectError("mounts[0].propagation PROPAGATION_BIDIRECTIONAL");
}

TEST_F(UserNamespaceTest, AnImageVolumeIsMappedAsThePod) {
  auto& mount = *request_.container.add_mounts();
  mount.mutable_image()->set_image("volume");
  mount.set_container_path("/data");
  mount.set_readonly(true);
  request_.image_volumes[0] = "/volumes/x";
  EXPECT_EQ(At("/data")["source"], "/volumes/x");
  *mount.mutable_uidmappings() = Pod().uids();
  *mount.mutable_gidmappings() = Pod().gids();
  EXPECT_EQ(At("/data")["source"], "/volumes/x");
  mount.mutable_uidmappings(0)->set_host_id(7);
  ExpectError("mounts[0].uidMappings: an image volume has the owners that the pod's");
}

TEST(MappedMounts, AreBoundFromTheCopy) {
  TestRequest request;
  auto& mount = *request.container.add_mounts();
  mount.set_host_path(request.root.path());
  mount.set_container_path("/data");
  Map(*mount.mutable_uidmappings(), 0, 200000, 1000);
  EXPECT_EQ(
      Text(request.Error()).rfind("INVALID_ARGUMENT: container web: mounts[0].gidMappings: ", 0),
      0U);
  Map(*mount.mutable_gidmappings(), 0, 200000, 1000);
  EXPECT_EQ(Text(request.Error()).rfind("INTERNAL: container web: mounts[0].uidMappings: ", 0), 0U);
  request.own_mounts[0] = "/run/c/mounts/0";
  EXPECT_EQ(FindBy(request.Config()["mounts"], "destination", "/data")["source"],
            "/run/c/mounts/0");
  mount.set_propagation(runtime::v1::PROPAGATION_BIDIRECTIONAL);
  EXPECT_NE(Text(request.Error()).find("PROPAGATION_BIDIRECTIONAL"), std::string::npos);
  mount.set_propagation(runtime::v1::PROPAGATION_PRIVATE);
  mount.set_host_path("/no/such/volume");
  EXPECT_NE(Text(request.Error()).find("host_path"), std::string::npos);
}

}  // namespace
}  // namespace davit::server::spec
