// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/isolated_cpus.h"

#include <memory>

#include "base/test_util.h"
#include "base/text.h"

namespace davit::server {
namespace {

// A tree of files in place of the kernel's.
class IsolatedCpusTest : public testing::Test {
 protected:
  void Make(CgroupMode mode) {
    if (mode == CgroupMode::kV2) {
      Write("cgroup.controllers", "cpuset cpu\n");
      for (const char* cgroup : {"pods", "pods/pod1"}) {
        Write(std::string(cgroup) + "/cpuset.cpus.exclusive", "\n");
      }
      Write("pods/pod1/c/cpuset.cpus.exclusive", "\n");
      Write("pods/pod1/c/cpuset.cpus.partition", "member\n");
    } else {
      for (const char* cgroup : {"", "pods/", "pods/pod1/", "pods/pod1/c/"}) {
        Write(std::string(cgroup) + "cpuset.sched_load_balance", "1\n");
      }
    }
    fs_ = std::make_unique<CgroupFs>(
        CgroupFs::ForTest(mode, {{mode == CgroupMode::kV2 ? "" : "cpuset", dir_.path()}}));
    cpus_ = std::make_unique<IsolatedCpus>(*fs_);
  }
  void Write(const std::string& name, const std::string& text) {
    const std::string path = dir_ / name;
    EXPECT_OK(MakeDirs(path.substr(0, path.rfind('/'))));
    EXPECT_OK(WriteFileAtomic(path, text));
  }
  std::string Read(const std::string& name) {
    return std::string(Trim(ReadFile(dir_ / name).value_or("?")));
  }

  test::TempDir dir_;
  std::unique_ptr<CgroupFs> fs_;
  std::unique_ptr<IsolatedCpus> cpus_;
};

TEST_F(IsolatedCpusTest, OnV1LoadBalancingIsOffInTheContainersCgroup) {
  Make(CgroupMode::kV1);
  EXPECT_OK(cpus_->Isolate("/pods/pod1/c", {2, 3}));
  EXPECT_EQ(Read("pods/pod1/c/cpuset.sched_load_balance"), "0");
  EXPECT_EQ(Read("pods/pod1/cpuset.sched_load_balance"), "1");
  EXPECT_OK(cpus_->Release("/pods/pod1/c", {2, 3}));
}

TEST_F(IsolatedCpusTest, OnV2TheContainerIsAnIsolatedPartition) {
  Make(CgroupMode::kV2);
  EXPECT_OK(cpus_->Isolate("/pods/pod1/c", {2, 3}));
  EXPECT_EQ(Read("pods/pod1/c/cpuset.cpus.partition"), "isolated");
  for (const char* cgroup : {"pods", "pods/pod1", "pods/pod1/c"}) {
    EXPECT_EQ(Read(std::string(cgroup) + "/cpuset.cpus.exclusive"), "2-3") << cgroup;
  }
  // Of another container.
  Write("pods/cpuset.cpus.exclusive", "2-3,6\n");
  EXPECT_OK(RemoveTree(dir_ / "pods/pod1/c"));
  EXPECT_OK(cpus_->Release("/pods/pod1/c", {2, 3}));
  EXPECT_EQ(Read("pods/cpuset.cpus.exclusive"), "6");
  EXPECT_EQ(Read("pods/pod1/cpuset.cpus.exclusive"), "");
  EXPECT_OK(cpus_->Release("/pods/pod1/c", {2, 3}));
  EXPECT_OK(RemoveTree(dir_ / "pods"));
  EXPECT_OK(cpus_->Release("/pods/pod1/c", {2, 3}));
}

TEST_F(IsolatedCpusTest, SaysWhatIsMissing) {
  Make(CgroupMode::kV2);
  EXPECT_OK(RemoveFile(dir_ / "pods/cpuset.cpus.exclusive"));
  const absl::Status status = cpus_->Isolate("/pods/pod1/c", {2});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(status).find("Linux 6.7"), std::string::npos) << status;
  const CgroupFs without = CgroupFs::ForTest(CgroupMode::kV1, {{"cpu", dir_.path()}});
  IsolatedCpus cpus(without);
  EXPECT_EQ(cpus.Isolate("/pods/pod1/c", {2}).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace davit::server
