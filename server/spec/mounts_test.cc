// SPDX-License-Identifier: Apache-2.0
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <thread>

#include <gtest/gtest.h>

#include "server/spec/container_path.h"
#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

using runtime::v1::Mount;

class MountsTest : public testing::Test {
 protected:
  Mount& Add(const std::string& container, const std::string& host) {
    Mount* mount = request_.container.add_mounts();
    mount->set_container_path(container);
    mount->set_host_path(host);
    return *mount;
  }
  Json List() { return request_.Config()["mounts"]; }
  Json At(const std::string& destination) { return FindBy(List(), "destination", destination); }
  int Index(const std::string& destination) {
    const Json list = List();
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i]["destination"] == destination) {
        return static_cast<int>(i);
      }
    }
    return -1;
  }
  std::string Error() { return Text(request_.Error()); }

  TempDir host_;
  TestRequest request_;
};

TEST_F(MountsTest, Defaults) {
  EXPECT_EQ(At("/proc")["type"], "proc");
  EXPECT_EQ(At("/dev")["type"], "tmpfs");
  EXPECT_EQ(At("/dev/pts")["type"], "devpts");
  EXPECT_EQ(At("/dev/mqueue")["type"], "mqueue");
  EXPECT_EQ(At("/sys")["type"], "sysfs");
  EXPECT_TRUE(HasString(At("/sys")["options"], "ro"));
  EXPECT_EQ(At("/sys/fs/cgroup")["type"], "cgroup");
  EXPECT_TRUE(HasString(At("/sys/fs/cgroup")["options"], "ro"));
  EXPECT_EQ(At("/dev/shm")["type"], "tmpfs");
  EXPECT_TRUE(At("/etc/hosts").is_null());
  EXPECT_LT(Index("/dev"), Index("/dev/shm"));
  EXPECT_LT(Index("/sys"), Index("/sys/fs/cgroup"));
}

TEST_F(MountsTest, PrivilegedMayWriteSysAndCgroup) {
  request_.MakePrivileged();
  EXPECT_TRUE(HasString(At("/sys")["options"], "rw"));
  EXPECT_TRUE(HasString(At("/sys/fs/cgroup")["options"], "rw"));
}

TEST_F(MountsTest, PodFiles) {
  request_.shm = "/run/pod/shm";
  request_.resolv_conf = "/run/pod/resolv.conf";
  request_.hosts_file = "/run/pod/hosts";
  request_.hostname_file = "/run/pod/hostname";
  EXPECT_EQ(At("/dev/shm")["source"], "/run/pod/shm");
  for (const std::string path : {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"}) {
    EXPECT_EQ(At(path)["type"], "bind") << path;
    EXPECT_TRUE(HasString(At(path)["options"], "ro")) << path;
  }
  const std::string hosts = host_.Write("hosts", "");
  Add("/etc/hosts/", hosts);
  EXPECT_EQ(At("/etc/hosts")["source"], hosts);
  EXPECT_TRUE(HasString(At("/etc/hosts")["options"], "rw"));
}

TEST_F(MountsTest, RequestedMount) {
  Add("/data", host_.path()).set_readonly(true);
  EXPECT_EQ(At("/data"), Json({{"destination", "/data"},
                               {"type", "bind"},
                               {"source", host_.path()},
                               {"options", {"rbind", "rprivate", "ro"}}}));
  EXPECT_FALSE(request_.Config()["linux"].contains("rootfsPropagation"));
}

TEST_F(MountsTest, ParentsComeFirst) {
  request_.resolv_conf = "/run/pod/resolv.conf";
  Add("/data/a/b", host_.path());
  Add("/data", host_.path());
  Add("/etc", host_.path());
  Add("/data/a", host_.path());
  EXPECT_LT(Index("/data"), Index("/data/a"));
  EXPECT_LT(Index("/data/a"), Index("/data/a/b"));
  EXPECT_LT(Index("/etc"), Index("/etc/resolv.conf"));
}

TEST_F(MountsTest, RequestReplacesDefaults) {
  Add("/dev/shm", host_.path());
  EXPECT_EQ(At("/dev/shm")["source"], host_.path());
  EXPECT_EQ(At("/dev/pts")["type"], "devpts");
  Add("/dev", "/dev");
  EXPECT_EQ(At("/dev")["type"], "bind");
  EXPECT_TRUE(At("/dev/pts").is_null());
  EXPECT_TRUE(At("/dev/mqueue").is_null());
  EXPECT_EQ(At("/dev/shm")["source"], host_.path());
  Add("/sys", "/sys");
  EXPECT_TRUE(At("/sys/fs/cgroup").is_null());
}

// What was found before is not looked up again.
TEST_F(MountsTest, KnownSourcesAndOwnCopiesAreBound) {
  Add("/known", host_.path() + "/absent");
  Add("/own", host_.path() + "/absent");
  request_.mount_sources = {{0, host_.path()}, {1, host_.path()}};
  request_.own_mounts = {{1, "/run/c/mounts/1"}};
  EXPECT_EQ(At("/known")["source"], host_.path());
  EXPECT_EQ(At("/own")["source"], "/run/c/mounts/1");
}

TEST_F(MountsTest, SymlinkedSourceIsResolved) {
  const std::string real = host_.MakeDir("real");
  const std::string link = host_.path() + "/link";
  ASSERT_EQ(symlink("real", link.c_str()), 0);
  Add("/data", link);
  EXPECT_EQ(At("/data")["source"], real);
}

TEST_F(MountsTest, MissingSourceIsNamed) {
  Add("/ok", host_.path());
  Add("/data", host_.path() + "/absent");
  EXPECT_EQ(Error(), "INVALID_ARGUMENT: container web: mounts[1].host_path " + host_.path() +
                         "/absent: No such file or directory; make it before the container is "
                         "created");
}

TEST_F(MountsTest, RefusesBadPaths) {
  struct Case {
    std::string container;
    std::string host;
    std::string field;
  };
  for (const Case& each :
       {Case{"relative", "/tmp", "container_path"}, Case{"", "/tmp", "container_path"},
        Case{"/", "/tmp", "container_path"}, Case{"/a/../../etc", "/tmp", "container_path"},
        Case{std::string("/a\0b", 4), "/tmp", "container_path"}, Case{"/a", "", "host_path"},
        Case{"/a", "tmp", "host_path"}, Case{"/a", std::string("/tmp\0x", 6), "host_path"},
        Case{"/a", "/dev/null/x", "host_path"}}) {
    request_.container.clear_mounts();
    Add(each.container, each.host);
    EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: mounts[0]." + each.field, 0), 0U)
        << Error();
  }
}

TEST_F(MountsTest, RefusesTwoMountsAtOnePath) {
  Add("/data", host_.path());
  Add("/data/", host_.path());
  EXPECT_EQ(Error(),
            "INVALID_ARGUMENT: container web: mounts[1].container_path /data: two mounts name this "
            "path");
}

TEST_F(MountsTest, RefusesWhatIsNotSupported) {
  const auto refused = [this](const std::string& field, const auto& change) {
    request_.container.clear_mounts();
    change(Add("/data", host_.path()));
    EXPECT_EQ(Error().rfind("UNIMPLEMENTED: container web: mounts[0]." + field, 0), 0U) << Error();
  };
  refused("recursive_read_only", [](Mount& mount) { mount.set_recursive_read_only(true); });
  TempDir& sys = request_.root;
  sys.Write(".sys/fs/selinux/enforce", "1");
  refused("selinux_relabel", [](Mount& mount) { mount.set_selinux_relabel(true); });
}

TEST_F(MountsTest, RecursiveReadOnly) {
  request_.recursive_read_only_mounts = true;
  Mount& mount = Add("/data", host_.path());
  mount.set_recursive_read_only(true);
  EXPECT_EQ(Error(),
            "INVALID_ARGUMENT: container web: mounts[0].recursive_read_only: needs readonly");
  mount.set_readonly(true);
  EXPECT_EQ(At("/data")["options"], Json({"rbind", "rprivate", "rro"}));
  for (const auto propagation :
       {runtime::v1::PROPAGATION_HOST_TO_CONTAINER, runtime::v1::PROPAGATION_BIDIRECTIONAL}) {
    mount.set_propagation(propagation);
    EXPECT_EQ(Error(),
              "INVALID_ARGUMENT: container web: mounts[0].recursive_read_only: needs propagation "
              "PROPAGATION_PRIVATE");
  }
}

TEST_F(MountsTest, ImageVolume) {
  Mount* mount = request_.container.add_mounts();
  mount->set_container_path("/models");
  mount->mutable_image()->set_image("r.io/models:1");
  mount->set_readonly(true);
  mount->set_recursive_read_only(true);
  EXPECT_EQ(Error(), "INTERNAL: container web: mounts[0].image: is not mounted on the host");
  request_.image_volumes[0] = "/run/davit/image-volumes/1a2b";
  EXPECT_EQ(At("/models")["source"], "/run/davit/image-volumes/1a2b");
  EXPECT_EQ(At("/models")["options"], Json({"bind", "rprivate", "nosuid", "nodev", "ro"}))
      << "programs may be run from it";
  request_.image_volumes[0] = "/run/\xff";
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: mounts[0].image_sub_path: leads to", 0),
            0U)
      << Error();
}

TEST_F(MountsTest, DeclaredVolumes) {
  request_.declared_volumes = {{"/data", "/var/lib/davit/containers/c1/volumes/0"},
                               {"/srv", "/var/lib/davit/containers/c1/volumes/1"}};
  Add("/srv/", host_.path());
  EXPECT_EQ(At("/data")["source"], "/var/lib/davit/containers/c1/volumes/0");
  EXPECT_EQ(At("/data")["options"], Json({"bind", "rprivate", "rw"}));
  EXPECT_EQ(At("/srv")["source"], host_.path()) << "the request's mount counts";
  request_.declared_volumes = {{"/", "/var/lib/davit/containers/c1/volumes/0"}};
  EXPECT_EQ(Error(),
            "INVALID_ARGUMENT: container web: image volume \"/\": cannot be a mount point");
}

TEST_F(MountsTest, MountOptionsOnlyTakeAway) {
  Mount& mount = Add("/data", host_.path());
  for (const char* option : {"noexec", "nodev", "nosuid", "noexec"}) {
    mount.add_mount_options(option);
  }
  EXPECT_EQ(At("/data")["options"], Json({"rbind", "rprivate", "rw", "noexec", "nodev", "nosuid"}));
  mount.add_mount_options("suid");
  EXPECT_EQ(Error(),
            "INVALID_ARGUMENT: container web: mounts[0].mount_options \"suid\": must be noexec, "
            "nodev or nosuid");
}

TEST_F(MountsTest, MountOptionsOfAnImageVolume) {
  Mount* mount = request_.container.add_mounts();
  mount->set_container_path("/models");
  mount->mutable_image()->set_image("r.io/models:1");
  mount->set_readonly(true);
  mount->add_mount_options("noexec");
  mount->add_mount_options("nodev");
  request_.image_volumes[0] = "/run/davit/image-volumes/1a2b";
  EXPECT_EQ(At("/models")["options"],
            Json({"bind", "rprivate", "nosuid", "nodev", "ro", "noexec"}));
}

TEST_F(MountsTest, MountsOfTheNode) {
  request_.host.default_mounts = {host_.path() + ":/secrets", host_.path() + ":/shared/:rw"};
  EXPECT_EQ(At("/secrets")["options"], Json({"rbind", "rprivate", "ro"}));
  EXPECT_EQ(At("/shared")["options"], Json({"rbind", "rprivate", "rw"}));
  Add("/secrets", "/tmp");
  EXPECT_EQ(At("/secrets")["source"], "/tmp") << "the request's mount counts";
  for (const std::string bad : {"/one", "/a:/b:ro:x", "/a:/b:maybe", "/no/such/dir:/x", "rel:/x"}) {
    request_.host.default_mounts = {bad};
    EXPECT_EQ(Error().rfind("FAILED_PRECONDITION: container web: runtime.default_mounts", 0), 0U)
        << Error();
  }
}

TEST_F(MountsTest, SubPathNeedsAnImage) {
  Add("/data", host_.path()).set_image_sub_path("x");
  EXPECT_EQ(Error(), "INVALID_ARGUMENT: container web: mounts[0].image_sub_path: needs image");
}

TEST_F(MountsTest, RelabelIsNothingToDoWithoutSelinux) {
  Add("/data", host_.path()).set_selinux_relabel(true);
  EXPECT_EQ(At("/data")["source"], host_.path());
}

TEST_F(MountsTest, RefusesUnknownPropagation) {
  Add("/data", host_.path()).set_propagation(static_cast<runtime::v1::MountPropagation>(9));
  EXPECT_EQ(Error(), "INVALID_ARGUMENT: container web: mounts[0].propagation 9: unknown value");
}

// Propagation depends on the mount table of the process, so each case runs in a process of its own
// with a mount namespace of its own.
class PropagationTest : public MountsTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root for mounts";
    }
  }
  // Puts a tmpfs with the propagation at `host_` and tells what the build said.
  std::string Outcome(unsigned long mount_propagation, runtime::v1::MountPropagation asked) {
    request_.container.clear_mounts();
    Add("/data", host_.path()).set_propagation(asked);
    int fds[2] = {};
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      std::string text = "set up failed";
      if (unshare(CLONE_NEWNS) == 0 &&
          mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
          mount("none", host_.path().c_str(), "tmpfs", 0, nullptr) == 0 &&
          mount("none", host_.path().c_str(), nullptr, mount_propagation, nullptr) == 0) {
        text = Describe();
      }
      _exit(write(fds[1], text.data(), text.size()) < 0 ? 1 : 0);
    }
    close(fds[1]);
    std::string text(4096, '\0');
    const ssize_t got = read(fds[0], text.data(), text.size());
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    close(fds[0]);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return text;
  }
  std::string Describe() {
    const absl::StatusOr<SpecOutput> output = BuildSpec(request_.Input());
    if (!output.ok()) {
      return Text(output.status());
    }
    const Json config = Json::parse(output->config_json);
    return FindBy(config["mounts"], "destination", "/data")["options"].dump() + " " +
           JsonString(config["linux"], "rootfsPropagation", "unset");
  }
};

TEST_F(PropagationTest, PrivateSource) {
  EXPECT_EQ(Outcome(MS_PRIVATE, runtime::v1::PROPAGATION_PRIVATE),
            "[\"rbind\",\"rprivate\",\"rw\"] unset");
  const std::string slave = Outcome(MS_PRIVATE, runtime::v1::PROPAGATION_HOST_TO_CONTAINER);
  EXPECT_EQ(slave.rfind("FAILED_PRECONDITION: container web: mounts[0].propagation", 0), 0U)
      << slave;
  EXPECT_NE(slave.find(host_.path()), std::string::npos) << slave;
  EXPECT_EQ(
      Outcome(MS_PRIVATE, runtime::v1::PROPAGATION_BIDIRECTIONAL).rfind("FAILED_PRECONDITION", 0),
      0U);
}

TEST_F(PropagationTest, SharedSource) {
  EXPECT_EQ(Outcome(MS_SHARED, runtime::v1::PROPAGATION_HOST_TO_CONTAINER),
            "[\"rbind\",\"rslave\",\"rw\"] rslave");
  EXPECT_EQ(Outcome(MS_SHARED, runtime::v1::PROPAGATION_BIDIRECTIONAL),
            "[\"rbind\",\"rshared\",\"rw\"] rshared");
}

TEST(ContainerPath, Cleans) {
  EXPECT_EQ(*CleanContainerPath("/a//b/./c/", "f"), "/a/b/c");
  EXPECT_EQ(*CleanContainerPath("///", "f"), "/");
  EXPECT_EQ(*CleanContainerPath("/..a/b..", "f"), "/..a/b..");
  EXPECT_FALSE(CleanContainerPath("/a/..", "f").ok());
  EXPECT_TRUE(IsAtOrBeneath("/dev/pts", "/dev"));
  EXPECT_FALSE(IsAtOrBeneath("/devices", "/dev"));
  EXPECT_EQ(PathDepth("/"), 0U);
  EXPECT_EQ(PathDepth("/a/b"), 2U);
}

TEST(Utf8, TellsWhatJsonCanCarry) {
  for (const std::string good : {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const std::string bad :
       {"\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

}  // namespace
}  // namespace davit::server::spec
